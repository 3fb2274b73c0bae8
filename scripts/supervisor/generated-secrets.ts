import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface GeneratedSecret {
  readonly path: string;
  /** Made by this start, not by an earlier one. */
  readonly fresh: boolean;
}

/** Keys and passwords that `npm start` makes once and keeps below the data folder, readable by their owner alone. */
export class GeneratedSecrets {
  readonly folder: string;

  constructor(dataDir: string) {
    this.folder = join(dataDir, 'keys');
  }

  /** A file with base64 of 32 bytes. */
  key(name: string): Promise<GeneratedSecret> {
    return this.file(name, () => randomBytes(32).toString('base64'));
  }

  /** A file with a password that a person can type: 120 bits, without characters that look alike. */
  password(name: string): Promise<GeneratedSecret> {
    return this.file(name, readablePassword);
  }

  async read(secret: GeneratedSecret): Promise<string> {
    return (await readFile(secret.path, 'utf8')).trim();
  }

  private async file(name: string, make: () => string): Promise<GeneratedSecret> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    await chmod(this.folder, 0o700);
    const path = join(this.folder, name);
    if (existsSync(path)) {
      await chmod(path, 0o600);
      return { path, fresh: false };
    }
    // A link, unlike a write, makes the whole file appear at once and never replaces a key that is there.
    const draft = `${path}.${randomBytes(6).toString('hex')}`;
    await writeFile(draft, `${make()}\n`, { mode: 0o600, flush: true });
    try {
      await link(draft, path);
      return { path, fresh: true };
    } catch (error) {
      if (!existsSync(path)) throw error;
      return { path, fresh: false };
    } finally {
      await rm(draft, { force: true });
    }
  }
}

function readablePassword(): string {
  const alphabet = 'abcdefghijkmnpqrstuvwxyz23456789';
  const letters = Array.from(randomBytes(24), (byte) => alphabet[byte % alphabet.length]).join('');
  return letters.replace(/(.{6})(?=.)/g, '$1-');
}
