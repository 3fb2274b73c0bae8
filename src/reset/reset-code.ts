import { createHmac, randomInt, timingSafeEqual } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { AppConfig } from '../config/app-config.js';
import { deriveKey } from '../platform/secrets/derived-keys.js';
import type { ResetCodeEntity } from './reset.entity.js';

export type CodeOwner = Pick<ResetCodeEntity, 'id' | 'resetId' | 'tenantId' | 'actorId' | 'channel'>;

/** Six digits, of which only a hash under the server's secret is kept: whoever reads the table cannot try them all. */
@Injectable()
export class ResetCodeSecrets {
  private readonly key: Buffer;

  constructor({ secretKey }: AppConfig) {
    this.key = deriveKey(secretKey, 'reset-code');
  }

  newCode(): string {
    return String(randomInt(1_000_000)).padStart(6, '0');
  }

  /** Differs with whatever the code is bound to: a hash that is copied to another row is of no use there. */
  hashOf(owner: CodeOwner, code: string): Buffer {
    return createHmac('sha256', this.key).update(JSON.stringify(['RESET', owner.tenantId, owner.actorId, owner.resetId, owner.channel, owner.id, code])).digest();
  }

  isRight(row: CodeOwner & { readonly hash: Buffer | null }, code: string): boolean {
    return row.hash !== null && timingSafeEqual(row.hash, this.hashOf(row, code));
  }
}
