import type { ArchiveHeader } from '../dbk1/header.js';
import type { ArchiveManifest, ManifestNamespace } from '../dbk1/manifest.js';

export const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

export function describe(header: ArchiveHeader, sizeBytes: number | null, isJson: boolean): string {
  const { codec, payloadType, segmentSize, keyId, salt, context } = header;
  if (isJson) return json({ format: 'DBK1', ...context, keyId, codec, payload: payloadType, segmentSize, salt, sizeBytes, isVerified: false });
  const lines = [
    ['Tenant', context.tenant],
    ['Backup', context.backup],
    ['Label', context.label],
    ['Created', context.createdAt],
    ['Key', keyId],
    ['Codec', codec],
    ['Payload', payloadType],
    ['Segments of', `${segmentSize} bytes`],
    ...(sizeBytes === null ? [] : [['Size', `${sizeBytes} bytes`]]),
  ].map(([name, value]) => `${name!.padEnd(12)} ${printable(value!)}`);
  return `${lines.join('\n')}\nRead from the header without a key: nothing of this is verified.\n`;
}

/** Names come from the file: control characters would reach the terminal. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

export function table(namespaces: readonly ManifestNamespace[]): string {
  const rows = [['KIND', 'DOCUMENTS', 'BYTES', 'INDEXES', 'CRC-64', 'NAME'], ...namespaces.map(({ kind, documents, bytes, indexes, crc64, name }) => [kind, String(documents), String(bytes), String(indexes), crc64, printable(name)])];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string => row.map((cell, column) => (column === row.length - 1 ? cell : column >= 1 && column <= 3 ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!))).join('  ');
  return `${rows.map(line).join('\n')}\n`;
}

export function verified(namespaces: readonly ManifestNamespace[], bytes: number): string {
  const documents = namespaces.reduce((sum, namespace) => sum + namespace.documents, 0);
  return `Verified: ${namespaces.length} collections, ${documents} documents, ${bytes} bytes.`;
}

export function verification(manifest: ArchiveManifest, isJson: boolean): string {
  const { backup, tenant, consistency, payload, namespaces } = manifest;
  if (isJson) return json({ isVerified: true, tenant, backup, consistency, payload, namespaces });
  return `${verified(namespaces, payload.bytes)}\nBackup ${printable(backup.id)} of ${printable(tenant.name)}, ${printable(backup.createdAt)}, consistency ${consistency.level}.\n`;
}
