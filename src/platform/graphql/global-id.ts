import { AppError } from '#errors';

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

export interface GlobalId {
  readonly type: string;
  readonly uuid: string;
}

export function toGlobalId(type: string, uuid: string): string {
  return Buffer.from(`${type}:${uuid}`).toString('base64url');
}

/** Null for what no version of this API has ever handed out. */
export function parseGlobalId(id: string): GlobalId | null {
  if (id.length > 200) return null;
  const text = Buffer.from(id, 'base64url').toString('utf8');
  const [, type, uuid] = /^([A-Z][A-Za-z]*):(.+)$/.exec(text) ?? [];
  if (type === undefined || uuid === undefined || !uuidPattern.test(uuid)) return null;
  return toGlobalId(type, uuid) === id ? { type, uuid } : null;
}

/**
 * The uuid of an entity of `type`. A malformed id and one of another type answer as one that does not exist, so that ids tell nothing.
 *
 * @throws AppError NOT_FOUND
 */
export function fromGlobalId(type: string, id: string): string {
  const parsed = parseGlobalId(id);
  if (parsed === null || parsed.type !== type) throw notFound(type);
  return parsed.uuid;
}

/** The one answer to an unknown id and to another tenant's. */
export function notFound(type: string): AppError {
  return new AppError('NOT_FOUND', `There is no such ${wordsOf(type)}`);
}

function wordsOf(type: string): string {
  return type.replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase();
}
