import { AppError } from '#errors';
import { checkPrefix } from '../object-key.js';
import type { ObjectLock } from '../port.js';

/** Where an S3 store is and how it is spoken to: `s3://bucket/prefix?endpoint=&region=&publicEndpoint=&partMiB=&objectLock=&objectLockDays=`. */
export interface S3Location {
  readonly bucket: string;
  /** Empty, or ending in a slash. */
  readonly prefix: string;
  /** Of a store that is not Amazon's: buckets are then named in the path. */
  readonly endpoint: string | null;
  /** What users reach the store by, where that is another address. */
  readonly publicEndpoint: string | null;
  readonly region: string;
  readonly partBytes: number;
  /** Of what archives are written as; needs a bucket with object lock. */
  readonly lock: ObjectLock | null;
}

const mib = 1024 * 1024;
const standardPartMib = 16;
const known = new Set(['endpoint', 'publicEndpoint', 'region', 'partMiB', 'objectLock', 'objectLockDays']);

/** @throws AppError BAD_USER_INPUT saying what is wrong */
export function parseS3Url(text: string): S3Location {
  const refused = (what: string): AppError => new AppError('BAD_USER_INPUT', what);
  if (!URL.canParse(text)) throw refused('must be an address such as s3://bucket/prefix?endpoint=https://host&region=name');
  const { protocol, hostname, port, username, password, pathname, searchParams, hash } = new URL(text);
  if (protocol !== 's3:' || hash !== '') throw refused('must begin with s3://');
  if (username !== '' || password !== '') throw refused('must hold no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY');
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(hostname) || port !== '') throw refused('must name a bucket: s3://bucket/prefix');
  for (const name of searchParams.keys()) if (!known.has(name)) throw refused(`${name} is not known; known are ${[...known].join(', ')}`);
  const prefix = pathname.replace(/^\/+|\/+$/g, '');
  try {
    checkPrefix(prefix);
  } catch {
    throw refused('the prefix may hold letters, digits, dots, dashes, underscores and slashes');
  }
  return {
    bucket: hostname,
    prefix: prefix === '' ? '' : `${prefix}/`,
    endpoint: addressIn(searchParams, 'endpoint'),
    publicEndpoint: addressIn(searchParams, 'publicEndpoint'),
    region: searchParams.get('region') ?? 'us-east-1',
    partBytes: (numberIn(searchParams, 'partMiB', 5, 1024) ?? standardPartMib) * mib,
    lock: lockIn(searchParams),
  };
}

function addressIn(params: URLSearchParams, name: string): string | null {
  const value = params.get(name);
  if (value === null) return null;
  if (!URL.canParse(value) || !/^https?:$/.test(new URL(value).protocol)) throw new AppError('BAD_USER_INPUT', `${name} must be an address such as https://host:port`);
  return value;
}

/** Ten years: nobody takes a lock of COMPLIANCE back. */
const mostDays = 3_650;

function lockIn(params: URLSearchParams): ObjectLock | null {
  const mode = params.get('objectLock');
  const days = numberIn(params, 'objectLockDays', 1, mostDays);
  if (mode === null && days === null) return null;
  if (mode !== 'GOVERNANCE' && mode !== 'COMPLIANCE') throw new AppError('BAD_USER_INPUT', 'objectLock must be GOVERNANCE or COMPLIANCE, and objectLockDays say for how long');
  if (days === null) throw new AppError('BAD_USER_INPUT', `objectLock needs objectLockDays, a whole number from 1 to ${mostDays}`);
  return { mode, days };
}

function numberIn(params: URLSearchParams, name: string, min: number, max: number): number | null {
  const value = params.get(name);
  if (value === null) return null;
  const number = Number(value);
  if (!/^\d{1,6}$/.test(value) || number < min || number > max) throw new AppError('BAD_USER_INPUT', `${name} must be a whole number from ${min} to ${max}`);
  return number;
}
