import { AppError } from '#errors';

/** Loaded when the first password is looked at: workers never do. */
const argon2 = () => import('@node-rs/argon2');

/** OWASP's parameters for argon2id, which is the library's default: 19 MiB, 2 passes. */
const options = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

const minPasswordLength = 12;
export const maxPasswordLength = 200;

/** Unicode forms that look the same are the same password. */
const normalized = (password: string) => password.normalize('NFC');

export async function hashPassword(password: string): Promise<string> {
  const { hash } = await argon2();
  return hash(normalized(password), options);
}

let hashOfNobody: Promise<string> | undefined;

/** Takes as long for an account that does not exist as for one that does, so that the time tells nothing. */
export async function passwordMatches(passwordHash: string | null, password: string): Promise<boolean> {
  hashOfNobody ??= hashPassword('nobody has this password');
  const { verify } = await argon2();
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
