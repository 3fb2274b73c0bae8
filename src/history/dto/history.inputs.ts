import { ArgsType, Field, ID, InputType, ObjectType } from '@nestjs/graphql';
import { Type } from 'class-transformer';
import { ArrayMaxSize, IsArray, IsDate, IsEnum, IsOptional, IsString, MaxLength, ValidateNested } from 'class-validator';
import { PageArgs } from '../../platform/graphql/connection.js';
import { MutationPayload } from '../../platform/graphql/user-error.model.js';
import { HistoryKinds, HistoryStates } from '../history-entry.js';
import type { HistoryKind, HistoryState } from '../history-row.js';

@InputType('HistoryFilter')
export class HistoryFilterInput {
  @Field(() => [HistoryKinds], { nullable: true })
  @IsOptional()
  @IsArray()
  @ArrayMaxSize(50)
  @IsEnum(HistoryKinds, { each: true })
  kinds?: HistoryKind[] | null;

  @Field(() => [HistoryStates], { nullable: true })
  @IsOptional()
  @IsArray()
  @ArrayMaxSize(20)
  @IsEnum(HistoryStates, { each: true })
  states?: HistoryState[] | null;

  @Field(() => String, { nullable: true, description: 'The e-mail address of who did it.' })
  @IsOptional()
  @IsString()
  @MaxLength(320)
  user?: string | null;

  @Field(() => Date, { nullable: true, description: 'Begun at this time or later.' })
  @IsOptional()
  @IsDate()
  from?: Date | null;

  @Field(() => Date, { nullable: true, description: 'Begun before this time.' })
  @IsOptional()
  @IsDate()
  to?: Date | null;

  @Field(() => String, { nullable: true, description: 'Found in name, file name, label, notes, user or failure.' })
  @IsOptional()
  @IsString()
  @MaxLength(200)
  text?: string | null;
}

@ArgsType()
export class HistoryArgs extends PageArgs {
  @Field(() => HistoryFilterInput, { nullable: true })
  @IsOptional()
  @ValidateNested()
  @Type(() => HistoryFilterInput)
  filter?: HistoryFilterInput | null;
}

@InputType()
export class HistoryExportInput {
  @Field(() => ID)
  @IsString()
  tenantId!: string;

  @Field(() => HistoryFilterInput, { nullable: true })
  @IsOptional()
  @ValidateNested()
  @Type(() => HistoryFilterInput)
  filter?: HistoryFilterInput | null;
}

@ObjectType()
export class HistoryExportPayload extends MutationPayload {
  @Field(() => String, { nullable: true, description: 'The history as a CSV file; needs no header and works once.' })
  url?: string | null;

  @Field(() => Date, { nullable: true })
  expiresAt?: Date | null;
}
