import { lookup, resolveSrv } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { Injectable } from '@nestjs/common';
import { ConnectionString } from 'mongodb-connection-string-url';
import type { Target } from '#engines';
import { AppError } from '#errors';
import { AppConfig } from '../config/app-config.js';

const reservedDatabases = new Set(['admin', 'local', 'config']);
/** What MongoDB allows on every platform. */
const databasePattern = /^[^/\\. "$*<>:|?\u0000]+$/;
const maxDatabaseBytes = 63;

export interface TargetHost {
  readonly name: string;
  readonly port: number;
}

export type Resolver = (name: string) => Promise<readonly string[]>;

/**
 * Loopback, unspecified and link-local addresses: this machine, its container's neighbours, and cloud metadata services. IPv4 in IPv6 notation is
 * matched by its IPv4 rule; NAT64 and 6to4 spell IPv4 addresses in ways of their own.
 */
const ownMachine = new BlockList();
ownMachine.addSubnet('127.0.0.0', 8, 'ipv4');
ownMachine.addSubnet('0.0.0.0', 8, 'ipv4');
ownMachine.addSubnet('169.254.0.0', 16, 'ipv4');
ownMachine.addAddress('::', 'ipv6');
ownMachine.addAddress('::1', 'ipv6');
ownMachine.addSubnet('fe80::', 10, 'ipv6');
// Metadata services of clouds that are not link-local.
ownMachine.addAddress('168.63.129.16', 'ipv4');
ownMachine.addAddress('100.100.100.200', 'ipv4');
ownMachine.addAddress('192.0.0.192', 'ipv4');
ownMachine.addAddress('fd00:ec2::254', 'ipv6');
ownMachine.addAddress('fd20:ce::254', 'ipv6');
ownMachine.addSubnet('::', 96, 'ipv6');
// 127/8, 0/8 and 169.254/16 behind NAT64 and 6to4.
ownMachine.addSubnet('64:ff9b::7f00:0', 104, 'ipv6');
ownMachine.addSubnet('64:ff9b::', 104, 'ipv6');
ownMachine.addSubnet('64:ff9b::a9fe:0', 112, 'ipv6');
ownMachine.addSubnet('2002:7f00::', 24, 'ipv6');
ownMachine.addSubnet('2002::', 24, 'ipv6');
ownMachine.addSubnet('2002:a9fe::', 32, 'ipv6');

export function isOwnMachine(address: string): boolean {
  const plain = address.replace(/^\[|\]$/g, '').replace(/%.*$/, '');
  const family = isIP(plain);
  return family !== 0 && ownMachine.check(plain, family === 4 ? 'ipv4' : 'ipv6');
}

/** Where a tenant's target may lie: rule 3 of the design. Read before any connection is made. */
@Injectable()
export class TargetPolicy {
  private readonly allowedRanges = new BlockList();
  private readonly allowedNames: readonly { readonly name: string; readonly port: number | null }[];
  private readonly guardsOwnMachine: boolean;

  constructor(config: AppConfig) {
    this.guardsOwnMachine = config.isProduction;
    const isRange = (entry: string) => isIP(entry.replace(/\/\d+$/, '')) !== 0;
    this.allowedNames = config.targetAllow.filter((entry) => !isRange(entry)).map(parseHost);
    for (const entry of config.targetAllow.filter(isRange)) {
      const [address = '', bits] = entry.split('/');
      const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
      this.allowedRanges.addSubnet(address, bits === undefined ? (family === 'ipv4' ? 32 : 128) : Number(bits), family);
    }
  }

  /** @throws AppError TARGET_INVALID, TARGET_REFUSED */
  async check(target: Target, resolve: Resolver = resolveAll): Promise<void> {
    requireDatabaseName(target.database);
    const hosts = await hostsOf(target.uri);
    for (const host of hosts) await this.checkHost(host, resolve);
  }

  /** Whether the host is this machine or link-local and on no list of exceptions; outside production none is refused. */
  async isRefused(host: TargetHost, resolve: Resolver = resolveAll): Promise<boolean> {
    if (!this.guardsOwnMachine || this.isAllowedName(host)) return false;
    // A name that cannot be resolved now is not reached now either; the connection says so with its own code.
    const addresses = isIP(host.name) !== 0 ? [host.name] : await resolve(host.name).catch(() => []);
    return host.name.startsWith('/') || addresses.some((address) => isOwnMachine(address) && !this.isAllowedAddress(address));
  }

  private async checkHost(host: TargetHost, resolve: Resolver): Promise<void> {
    if (await this.isRefused(host, resolve)) {
      throw new AppError('TARGET_REFUSED', `The host ${host.name} is this machine or a link-local address; HOLDFAST_TARGET_ALLOW does not list it`, { field: ['target', 'uri'] });
    }
  }

  private isAllowedName({ name, port }: TargetHost): boolean {
    const wanted = name.toLowerCase();
    return this.allowedNames.some(
      (allowed) =>
        (allowed.port === null || allowed.port === port) && (allowed.name.startsWith('*.') ? wanted.endsWith(allowed.name.slice(1)) : wanted === allowed.name),
    );
  }

  private isAllowedAddress(address: string): boolean {
    return this.allowedRanges.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6');
  }
}

function requireDatabaseName(database: string): void {
  const field = ['target', 'database'];
  if (!databasePattern.test(database) || Buffer.byteLength(database) > maxDatabaseBytes) {
    throw new AppError('TARGET_INVALID', 'The database name is empty, longer than 63 bytes or holds a character that MongoDB forbids', { field });
  }
  if (reservedDatabases.has(database.toLowerCase())) throw new AppError('TARGET_REFUSED', `The database ${database} belongs to the server itself`, { field });
}

/** Every host that the driver may be led to: seeds, SRV records, a SOCKS proxy. */
async function hostsOf(uri: string): Promise<TargetHost[]> {
  const field = ['target', 'uri'];
  let parsed: ConnectionString;
  let seeds: TargetHost[];
  try {
    parsed = new ConnectionString(uri);
    seeds = parsed.hosts.map(hostOf);
  } catch {
    throw new AppError('TARGET_INVALID', 'The connection string cannot be read', { field });
  }
  const proxy = parsed.searchParams.get('proxyHost');
  const proxies = proxy === null ? [] : [{ name: proxy, port: Number(parsed.searchParams.get('proxyPort') ?? 1080) }];
  if (!parsed.isSRV) return [...seeds, ...proxies];
  const [name = ''] = parsed.hosts;
  const records = await resolveSrv(`_${parsed.searchParams.get('srvServiceName') ?? 'mongodb'}._tcp.${name}`).catch(() => {
    throw new AppError('TARGET_UNREACHABLE', `No servers are listed in the DNS for ${name}`, { field });
  });
  return [...records.map((record) => ({ name: record.name, port: record.port })), ...proxies];
}

/** `name`, `name:port`, `[v6]` or `[v6]:port`. */
function parseHost(text: string): { name: string; port: number | null } {
  const [, bracketed, plain = text, port] = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/.exec(text) ?? [];
  return { name: (bracketed ?? plain).toLowerCase(), port: port === undefined ? null : Number(port) };
}

/** The driver accepts percent-encoded hosts, above all the paths of sockets. */
function hostOf(text: string): TargetHost {
  const decoded = decodeURIComponent(text);
  if (decoded.startsWith('/')) return { name: decoded, port: 0 };
  const { name, port } = parseHost(decoded);
  return { name, port: port ?? 27_017 };
}

async function resolveAll(name: string): Promise<string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address);
}
