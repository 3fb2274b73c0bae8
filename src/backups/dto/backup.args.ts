import { ArgsType, Field, ObjectType } from '@nestjs/graphql';
import { Type } from 'class-transformer';
import { IsOptional, ValidateNested } from 'class-validator';
import { PageArgs, Paginated } from '../../platform/graphql/connection.js';
import { BackupModel } from '../backup.model.js';
import { BackupFilterInput } from './backup.inputs.js';

@ArgsType()
export class BackupListArgs extends PageArgs {
  @Field(() => BackupFilterInput, { nullable: true })
  @IsOptional()
  @ValidateNested()
  @Type(() => BackupFilterInput)
  filter?: BackupFilterInput | null;
}

@ObjectType()
export class BackupConnection extends Paginated('Backup', () => BackupModel) {}
