import { createHash, randomBytes } from 'node:crypto';

const tokenBytes = 32;

/** A secret that stands in an address; only its hash is kept. */
export interface LinkToken {
  readonly text: string;
  readonly hash: Buffer;
}

export function newToken(): LinkToken {
  const token = randomBytes(tokenBytes);
  return { text: token.toString('base64url'), hash: hashOf(token) };
}

/** Null for what no server has ever handed out. */
export function hashOfToken(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.length === tokenBytes && bytes.toString('base64url') === text ? hashOf(bytes) : null;
}

function hashOf(token: Buffer): Buffer {
  return createHash('sha256').update(token).digest();
}
