import { Field, ID, ObjectType, registerEnumType } from '@nestjs/graphql';
import { toGlobalId } from '../platform/graphql/global-id.js';
import { ByteCount, type Int64 } from '../platform/graphql/scalars.js';
import { UploadPurpose, type UploadEntity, UploadState } from './upload.entity.js';

export const UploadProtocol = { TUS: 'TUS' } as const;
export type UploadProtocol = keyof typeof UploadProtocol;
registerEnumType(UploadProtocol, {
  name: 'UploadProtocol',
  valuesMap: { TUS: { description: 'Resumable, by the tus protocol 1.0.0: HEAD tells the offset, PATCH sends from there on. The upload is created already.' } },
});

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

  @Field(() => String, { nullable: true, description: 'Where the bytes go; it needs no login, and is told by uploadCreate alone.' })
  url!: string | null;

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

export function toUploadModel(row: UploadEntity, url: string | null = null): UploadModel {
  return {
    id: toGlobalId('Upload', row.id),
    uuid: row.id,
    tenantId: row.tenantId,
    backupUuid: row.backupId,
    purpose: row.purpose,
    state: row.state,
    filename: row.fileName,
    size: row.sizeBytes,
    protocol: UploadProtocol.TUS,
    url,
    headers: [{ name: 'Tus-Resumable', value: '1.0.0' }],
    maxBytes: row.sizeBytes,
    encrypted: row.archive && row.archive.salt !== null,
    keyId: row.archive?.keyId ?? null,
    expiresAt: row.expiresAt,
  };
}
