import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { AppError } from '#errors';
import { AppConfig } from '../../config/app-config.js';
import { deriveKey, type KeyPurpose } from './derived-keys.js';

const version = 1;
const nonceBytes = 12;
const tagBytes = 16;

/** Keeps secrets that must be read back: AES-256-GCM under a key derived from HOLDFAST_SECRET_KEY, bound to their owner. */
@Injectable()
export class SecretBox {
  private readonly secretKey: Buffer;

  constructor(config: AppConfig) {
    this.secretKey = config.secretKey;
  }

  /** `owner` is bound, not stored: a cipher that is copied to another row does not open there. */
  seal(purpose: KeyPurpose, owner: string, secret: string): Buffer {
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv('aes-256-gcm', deriveKey(this.secretKey, purpose), nonce).setAAD(Buffer.from(owner));
    const body = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
    return Buffer.concat([Buffer.of(version), nonce, cipher.getAuthTag(), body]);
  }

  /** @throws AppError SECRET_UNREADABLE when it was sealed under another key or for another owner */
  open(purpose: KeyPurpose, owner: string, sealed: Buffer): string {
    const nonce = sealed.subarray(1, 1 + nonceBytes);
    const tag = sealed.subarray(1 + nonceBytes, 1 + nonceBytes + tagBytes);
    try {
      if (sealed[0] !== version || tag.length !== tagBytes) throw new Error(`Unknown version ${String(sealed[0])}`);
      const decipher = createDecipheriv('aes-256-gcm', deriveKey(this.secretKey, purpose), nonce, { authTagLength: tagBytes })
        .setAAD(Buffer.from(owner))
        .setAuthTag(tag);
      return Buffer.concat([decipher.update(sealed.subarray(1 + nonceBytes + tagBytes)), decipher.final()]).toString('utf8');
    } catch (cause) {
      throw new AppError('SECRET_UNREADABLE', 'A stored secret cannot be read; HOLDFAST_SECRET_KEY differs from the one it was saved under', { cause });
    }
  }
}
