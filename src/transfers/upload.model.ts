import { Field, ID, ObjectType } from '@nestjs/graphql';
import { toGlobalId } from '../platform/graphql/global-id.js';
import { ByteCount, type Int64 } from '../platform/graphql/scalars.js';
import { UploadProtocol, UploadPurpose, type UploadEntity, UploadState } from './upload.entity.js';

@ObjectType('UploadHeader')
export class UploadHeaderModel {
  @Field(() => String)
  name!: string;

  @Field(() => String)
  value!: string;
}

@ObjectType('Upload')
export class UploadModel {
  @Field(() => ID)
  id!: string;

  @Field(() => UploadPurpose)
  purpose!: UploadPurpose;

  @Field(() => UploadState)
  state!: UploadState;

  @Field(() => String)
  filename!: string;

  @Field(() => ByteCount, { description: 'As it was announced.' })
  size!: Int64;

  @Field(() => UploadProtocol)
  protocol!: UploadProtocol;

  @Field(() => String, { nullable: true, description: 'Where the bytes go; it needs no login, and is told by uploadCreate alone. Null for an S3_MULTIPART of several parts.' })
  url!: string | null;

  @Field(() => [String], { description: 'S3_MULTIPART: where each part goes, in their order; told by uploadCreate alone.' })
  partUrls!: readonly string[];

  @Field(() => ByteCount, { nullable: true, description: 'S3_MULTIPART: of each part but the last; told by uploadCreate alone.' })
  partBytes!: Int64 | null;

  @Field(() => [UploadHeaderModel], { description: 'To be sent with every request to the url.' })
  headers!: UploadHeaderModel[];

  @Field(() => ByteCount, { description: 'How many bytes the url takes.' })
  maxBytes!: Int64;

  @Field(() => Boolean, { nullable: true, description: 'Null until the bytes were looked at.' })
  encrypted!: boolean | null;

  @Field(() => String, { nullable: true, description: 'Of the key that the archive is encrypted with.' })
  keyId!: string | null;

  @Field(() => Date, { description: 'Then the bytes are removed, unless they were imported or are being restored.' })
  expiresAt!: Date;

  readonly uuid!: string;
  readonly tenantId!: string;
  readonly backupUuid!: string | null;
}

/** Where the bytes go. */
export interface UploadWay {
  readonly url: string | null;
  readonly partUrls: readonly string[];
  readonly partBytes: number | null;
}

const nowhere: UploadWay = { url: null, partUrls: [], partBytes: null };

export function toUploadModel(row: UploadEntity, way: UploadWay = nowhere): UploadModel {
  return {
    id: toGlobalId('Upload', row.id),
    uuid: row.id,
    tenantId: row.tenantId,
    backupUuid: row.backupId,
    purpose: row.purpose,
    state: row.state,
    filename: row.fileName,
    size: row.sizeBytes,
    protocol: row.protocol,
    ...way,
    headers: row.protocol === 'TUS' ? [{ name: 'Tus-Resumable', value: '1.0.0' }] : [],
    maxBytes: row.sizeBytes,
    encrypted: row.archive && row.archive.salt !== null,
    keyId: row.archive?.keyId ?? null,
    expiresAt: row.expiresAt,
  };
}
