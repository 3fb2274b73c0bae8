import { createHash } from 'node:crypto';
import { Upload } from 'tus-js-client';
import type { BackupAnswer, UserErrorAnswer } from './backup-calls.ts';
import { backupFields } from './backup-calls.ts';
import type { GraphqlClient } from './graphql-client.ts';

export interface UploadAnswer {
  readonly id: string;
  readonly state: string;
  readonly protocol: string;
  readonly url: string | null;
  readonly partUrls: readonly string[];
  readonly partBytes: string | null;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly maxBytes: string;
  readonly expiresAt: string;
  readonly encrypted: boolean | null;
  readonly keyId: string | null;
}

const uploadFields = 'id state protocol url partUrls partBytes headers { name value } maxBytes expiresAt encrypted keyId';
const errorFields = 'userErrors { code message field hint }';

export interface CreatedAnswer {
  readonly upload: UploadAnswer | null;
  readonly userErrors: readonly UserErrorAnswer[];
}

export interface CompletedAnswer extends CreatedAnswer {
  readonly backup: BackupAnswer | null;
  readonly operation: { readonly id: string; readonly kind: string } | null;
}

export const sha256Of = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

export async function uploadCreate(client: GraphqlClient, tenantId: string, filename: string, bytes: Buffer, input: Readonly<Record<string, unknown>> = {}): Promise<CreatedAnswer> {
  const answer = await client.run<{ uploadCreate: CreatedAnswer }>(`mutation ($input: UploadCreateInput!) { uploadCreate(input: $input) { upload { ${uploadFields} } ${errorFields} } }`, {
    input: { tenantId, purpose: 'RESTORE', filename, size: String(bytes.length), sha256: sha256Of(bytes), ...input },
  });
  return answer.uploadCreate;
}

export async function uploadComplete(client: GraphqlClient, uploadId: string): Promise<CompletedAnswer> {
  const answer = await client.run<{ uploadComplete: CompletedAnswer }>(
    `mutation ($input: UploadCompleteInput!) { uploadComplete(input: $input) { upload { ${uploadFields} } backup { ${backupFields} } operation { id kind } ${errorFields} } }`,
    { input: { uploadId } },
  );
  return answer.uploadComplete;
}

/** The address on the server that is under test; the public one has another port. */
export function addressOf(serverUrl: string, upload: UploadAnswer): string {
  if (upload.url === null) throw new Error('The upload has no address');
  return `${serverUrl}${new URL(upload.url).pathname}`;
}

/** Sends the whole file with somebody else's client of the protocol. */
export function send(url: string, bytes: Buffer, chunkBytes = 1_000_000): Promise<void> {
  return new Promise((resolve, reject) => {
    const upload = new Upload(bytes, { uploadUrl: url, chunkSize: chunkBytes, retryDelays: [10, 50, 100, 500], onError: reject, onSuccess: () => resolve() });
    upload.start();
  });
}

/** All three steps. */
export async function uploadFile(client: GraphqlClient, tenantId: string, filename: string, bytes: Buffer, input: Readonly<Record<string, unknown>> = {}): Promise<CompletedAnswer> {
  const { upload, userErrors } = await uploadCreate(client, tenantId, filename, bytes, input);
  if (upload === null) throw new Error(`No upload: ${userErrors.map(({ code, message }) => `${code} ${message}`).join()}`);
  await send(addressOf(client.url, upload), bytes);
  return uploadComplete(client, upload.id);
}
