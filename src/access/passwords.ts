import { hash, verify } from '@node-rs/argon2';
import { AppError } from '#errors';

/** OWASP's parameters for argon2id, which is the library's default: 19 MiB, 2 passes. */
const options = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

export const minPasswordLength = 12;
export const maxPasswordLength = 200;

/** Unicode forms that look the same are the same password. */
const normalized = (password: string) => password.normalize('NFC');

export function hashPassword(password: string): Promise<string> {
  return hash(normalized(password), options);
}

let hashOfNobody: Promise<string> | undefined;

/** Takes as long for an account that does not exist as for one that does, so that the time tells nothing. */
export async function passwordMatches(passwordHash: string | null, password: string): Promise<boolean> {
  hashOfNobody ??= hashPassword('nobody has this password');
  const matches = await verify(passwordHash ?? (await hashOfNobody), normalized(password));
  return matches && passwordHash !== null;
}

/** @throws AppError PASSWORD_TOO_WEAK */
export function requireStrongPassword(password: string, email: string, field: readonly string[]): void {
  if ([...password].length < minPasswordLength) {
    throw new AppError('PASSWORD_TOO_WEAK', `The password has fewer than ${minPasswordLength} characters`, { field });
  }
  const lower = password.toLowerCase();
  if (lower === email.toLowerCase() || new Set(lower).size < 4) throw new AppError('PASSWORD_TOO_WEAK', 'The password is too easy to guess', { field });
}
