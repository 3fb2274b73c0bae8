import { Field, ID, InputType } from '@nestjs/graphql';
import { ArrayMaxSize, IsArray, IsBoolean, IsDate, IsEnum, IsOptional, IsString, MaxLength } from 'class-validator';
import { IdempotencyKey } from '../../operations/idempotency-key.js';
import { BackupScope, BackupState, BackupTrigger, Codec } from '../backup.entity.js';

@InputType()
export class BackupCreateInput {
  @Field(() => ID)
  @IsString()
  tenantId!: string;

  @Field(() => String, { nullable: true, description: "Left out: the label and the time on the workspace's clock." })
  @IsOptional()
  @IsString()
  @MaxLength(200)
  name?: string | null;

  @Field(() => String, { nullable: true })
  @IsOptional()
  @IsString()
  @MaxLength(2000)
  description?: string | null;

  @Field(() => BackupScope, { nullable: true, defaultValue: BackupScope.ALL })
  @IsOptional()
  @IsEnum(BackupScope)
  scope?: BackupScope | null;

  @Field(() => Codec, { nullable: true, defaultValue: Codec.GZIP })
  @IsOptional()
  @IsEnum(Codec)
  codec?: Codec | null;

  @IdempotencyKey()
  idempotencyKey?: string | null;
}

@InputType()
export class BackupUpdateInput {
  @Field(() => ID)
  @IsString()
  backupId!: string;

  @Field(() => String, { nullable: true })
  @IsOptional()
  @IsString()
  @MaxLength(200)
  name?: string | null;

  @Field(() => String, { nullable: true, description: 'Null clears it; left out it stays.' })
  @IsOptional()
  @IsString()
  @MaxLength(2000)
  description?: string | null;

  @Field(() => String, { nullable: true, description: 'Null clears them; left out they stay.' })
  @IsOptional()
  @IsString()
  @MaxLength(10_000)
  notes?: string | null;
}

@InputType({ isAbstract: true })
class OneBackupInput {
  @Field(() => ID)
  @IsString()
  backupId!: string;
}

@InputType()
export class BackupPinInput extends OneBackupInput {}

@InputType()
export class BackupUnpinInput extends OneBackupInput {}

@InputType()
export class BackupHoldInput extends OneBackupInput {}

@InputType()
export class BackupReleaseInput extends OneBackupInput {}

@InputType()
export class BackupDeleteInput extends OneBackupInput {
  @Field(() => Boolean, { nullable: true, defaultValue: false, description: 'Delete a safety backup although a restore could still be undone by it.' })
  @IsOptional()
  @IsBoolean()
  giveUpUndo?: boolean | null;
}

@InputType()
export class BackupVerifyInput extends OneBackupInput {
  @IdempotencyKey()
  idempotencyKey?: string | null;
}

@InputType('BackupFilter')
export class BackupFilterInput {
  @Field(() => [BackupState], { nullable: true, description: 'Left out: every state but DELETED.' })
  @IsOptional()
  @IsArray()
  @ArrayMaxSize(20)
  @IsEnum(BackupState, { each: true })
  states?: BackupState[] | null;

  @Field(() => [String], { nullable: true })
  @IsOptional()
  @IsArray()
  @ArrayMaxSize(50)
  @IsString({ each: true })
  @MaxLength(200, { each: true })
  labels?: string[] | null;

  @Field(() => [BackupTrigger], { nullable: true })
  @IsOptional()
  @IsArray()
  @ArrayMaxSize(20)
  @IsEnum(BackupTrigger, { each: true })
  triggers?: BackupTrigger[] | null;

  @Field(() => String, { nullable: true, description: 'Found in name, description, notes or file name.' })
  @IsOptional()
  @IsString()
  @MaxLength(200)
  text?: string | null;

  @Field(() => Date, { nullable: true, description: 'Created at this time or later.' })
  @IsOptional()
  @IsDate()
  from?: Date | null;

  @Field(() => Date, { nullable: true, description: 'Created before this time.' })
  @IsOptional()
  @IsDate()
  to?: Date | null;
}
