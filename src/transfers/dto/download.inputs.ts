import { Field, ID, InputType, ObjectType } from '@nestjs/graphql';
import { IsEnum, IsString } from 'class-validator';
import { MutationPayload } from '../../platform/graphql/user-error.model.js';
import { DownloadVariant } from '../download.entity.js';

@InputType()
export class DownloadCreateInput {
  @Field(() => ID)
  @IsString()
  backupId!: string;

  @Field(() => DownloadVariant, { defaultValue: DownloadVariant.ARCHIVE })
  @IsEnum(DownloadVariant)
  variant!: DownloadVariant;
}

@ObjectType()
export class DownloadCreatePayload extends MutationPayload {
  @Field(() => String, { nullable: true, description: 'Needs no header and works for one whole download.' })
  url?: string | null;

  @Field(() => Date, { nullable: true })
  expiresAt?: Date | null;
}
