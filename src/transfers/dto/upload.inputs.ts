import { Field, ID, InputType, ObjectType } from '@nestjs/graphql';
import { IsDefined, IsEnum, IsOptional, IsString, Length, Matches, MaxLength } from 'class-validator';
import { BackupModel } from '../../backups/backup.model.js';
import { IdempotencyKey } from '../../operations/idempotency-key.js';
import { OperationModel } from '../../operations/operation.model.js';
import { ByteCount } from '../../platform/graphql/scalars.js';
import { MutationPayload } from '../../platform/graphql/user-error.model.js';
import { UploadProtocol, UploadPurpose } from '../upload.entity.js';
import { UploadModel } from '../upload.model.js';

@InputType()
export class UploadCreateInput {
  @Field(() => ID)
  @IsString()
  tenantId!: string;

  @Field(() => UploadPurpose)
  @IsEnum(UploadPurpose)
  purpose!: UploadPurpose;

  @Field(() => String, { description: 'Shown to people; what the file is, its bytes tell.' })
  @IsString()
  @Length(1, 255)
  @Matches(/^[^\p{Cc}/\\]+$/u, { message: 'filename: must be a name without a path' })
  filename!: string;

  @Field(() => ByteCount)
  @IsDefined()
  size!: bigint;

  @Field(() => String, { description: 'Of the file: 64 hex digits.' })
  @IsString()
  @Matches(/^[0-9a-fA-F]{64}$/, { message: 'sha256: must be 64 hex digits' })
  sha256!: string;

  @Field(() => UploadProtocol, { nullable: true, description: 'Left out: S3_MULTIPART where the store takes it, else TUS, which every store takes.' })
  @IsOptional()
  @IsEnum(UploadProtocol)
  protocol?: UploadProtocol | null;

  @Field(() => ID, { nullable: true, description: "For the provider, with purpose IMPORT: the workspace whose archive it is, where that is another one. The archive can then be restored here." })
  @IsOptional()
  @IsString()
  @MaxLength(200)
  sourceTenantId?: string | null;
}

@InputType()
export class UploadCompleteInput {
  @Field(() => ID)
  @IsString()
  uploadId!: string;

  @IdempotencyKey()
  idempotencyKey?: string | null;
}

@ObjectType()
export class UploadCreatePayload extends MutationPayload {
  @Field(() => UploadModel, { nullable: true })
  upload?: UploadModel | null;
}

@ObjectType()
export class UploadCompletePayload extends MutationPayload {
  @Field(() => UploadModel, { nullable: true })
  upload?: UploadModel | null;

  @Field(() => BackupModel, { nullable: true, description: 'Of an import; usable once its operation is COMPLETED.' })
  backup?: BackupModel | null;

  @Field(() => OperationModel, { nullable: true, description: 'Of an import.' })
  operation?: OperationModel | null;
}
