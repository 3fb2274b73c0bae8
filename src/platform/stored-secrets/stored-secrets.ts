import { Injectable, Logger } from '@nestjs/common';
import { AppError } from '#errors';
import { type HealthFinding, HealthRegistry } from '../health/health-registry.js';
import type { KeyPurpose } from '../secrets/derived-keys.js';
import { SecretBox } from '../secrets/secret-box.js';

export interface SealedSecret {
  readonly owner: string;
  readonly sealed: Buffer;
}

/** The next ones in the order of their owners. @param after the last owner of the page before; null: from the beginning */
export type SealedPage = (after: string | null, limit: number) => Promise<readonly SealedSecret[]>;

const pageLength = 500;
/** The key of a process stays the one that it is: only another process, with another key, can seal what this one cannot read. */
const goodForMs = 600_000;
/** Until they are given anew. The look ends at the first one, and anybody may ask for it. */
const badForMs = 5_000;

/** Says in `/readyz` that HOLDFAST_SECRET_KEY is not the one that the stored secrets were saved under: else only the next backup of each workspace would tell. */
@Injectable()
export class StoredSecrets {
  private readonly logger = new Logger(StoredSecrets.name);
  private readonly kinds: { readonly name: string; readonly purpose: KeyPurpose; readonly page: SealedPage }[] = [];
  private finding: Promise<HealthFinding> | null = null;
  private goodUntilMs = 0;

  constructor(
    private readonly secrets: SecretBox,
    health: HealthRegistry,
  ) {
    health.register('secrets', () => this.check());
  }

  /** @param name for people, in the plural */
  register(name: string, purpose: KeyPurpose, page: SealedPage): void {
    this.kinds.push({ name, purpose, page });
  }

  private check(): Promise<HealthFinding> {
    if (this.finding === null || performance.now() >= this.goodUntilMs) {
      this.goodUntilMs = performance.now() + badForMs;
      this.finding = this.look().catch((error: unknown) => {
        this.goodUntilMs = 0;
        throw error;
      });
    }
    return this.finding;
  }

  private async look(): Promise<HealthFinding> {
    const unreadable: string[] = [];
    for (const { name, purpose, page } of this.kinds) if (!(await this.areReadable(purpose, page))) unreadable.push(name);
    if (unreadable.length === 0) {
      this.goodUntilMs = performance.now() + goodForMs;
      return { state: 'ok' };
    }
    this.logger.warn({ msg: 'Stored secrets cannot be read', kinds: unreadable });
    return { state: 'warning', message: `HOLDFAST_SECRET_KEY is not the one that stored secrets were saved under: ${unreadable.sort().join(', ')}` };
  }

  private async areReadable(purpose: KeyPurpose, page: SealedPage): Promise<boolean> {
    let after: string | null = null;
    for (;;) {
      const found: readonly SealedSecret[] = await page(after, pageLength);
      if (!found.every(({ owner, sealed }) => this.isReadable(purpose, owner, sealed))) return false;
      if (found.length < pageLength) return true;
      after = found.at(-1)?.owner ?? null;
    }
  }

  private isReadable(purpose: KeyPurpose, owner: string, sealed: Buffer): boolean {
    try {
      this.secrets.open(purpose, owner, sealed);
      return true;
    } catch (error) {
      if (error instanceof AppError && error.code === 'SECRET_UNREADABLE') return false;
      throw error;
    }
  }
}
