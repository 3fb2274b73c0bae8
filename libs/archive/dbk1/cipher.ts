import { createCipheriv, createDecipheriv, type CipherGCM } from 'node:crypto';

export const tagBytes = 16;
export const nonceType = { segment: 0, trailer: 1 } as const;
type NonceType = (typeof nonceType)[keyof typeof nonceType];

/** Type, three zero bytes and the index: unique under the key of one archive. Throws RangeError when the counter would overflow. */
export function nonceOf(type: NonceType, index: number): Buffer {
  if (!Number.isSafeInteger(index) || index < 0) throw new RangeError(`No nonce is left for index ${index}`);
  const nonce = Buffer.alloc(12);
  nonce[0] = type;
  nonce.writeUInt32BE(Math.floor(index / 2 ** 32), 4);
  nonce.writeUInt32BE(index % 2 ** 32, 8);
  return nonce;
}

export function encryptor(key: Buffer, type: NonceType, index: number): CipherGCM {
  return createCipheriv('aes-256-gcm', key, nonceOf(type, index), { authTagLength: tagBytes });
}

/** Plaintext of ciphertext and tag, or null when the tag fails. Nothing is returned before the tag is checked. */
export function decrypt(key: Buffer, type: NonceType, index: number, sealed: Buffer): Buffer | null {
  const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(type, index), { authTagLength: tagBytes });
  decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes));
  const plaintext = decipher.update(sealed.subarray(0, sealed.length - tagBytes));
  try {
    decipher.final();
  } catch {
    return null;
  }
  return plaintext;
}
