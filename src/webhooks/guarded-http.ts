import { lookup as resolveName } from 'node:dns';
import { request as requestHttp } from 'node:http';
import { request as requestHttps, type RequestOptions } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { Injectable } from '@nestjs/common';
import { AppError } from '#errors';
import { AppConfig } from '../config/app-config.js';
import { type TargetHost, TargetPolicy } from '../tenants/target-policy.js';

const timeoutMs = 10_000;
const maxUrlLength = 2_000;

/** `code` is null where no answer came; `error` is null for a 2xx. */
export interface HttpAnswer {
  readonly code: number | null;
  readonly error: string | null;
  /** What the network said, for the log of the server alone: whoever may give addresses could map a network by it. */
  readonly reason?: string;
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Requests to addresses that tenants gave. An address is judged where the connection is made, so that a name cannot change its meaning in between. */
@Injectable()
export class GuardedHttp {
  private readonly requiresTls: boolean;

  constructor(
    config: AppConfig,
    private readonly policy: TargetPolicy,
  ) {
    this.requiresTls = config.isProduction;
  }

  /** The address as it is kept. @throws AppError WEBHOOK_INVALID, WEBHOOK_REFUSED */
  async check(text: string, field = ['url']): Promise<string> {
    if (text.length > maxUrlLength || !URL.canParse(text)) throw new AppError('WEBHOOK_INVALID', 'The address cannot be read, or has more than 2000 characters', { field });
    const url = new URL(text);
    if (url.protocol !== 'https:' && (this.requiresTls || url.protocol !== 'http:')) throw new AppError('WEBHOOK_INVALID', 'The address must begin with https://', { field });
    if (url.username !== '' || url.password !== '') throw new AppError('WEBHOOK_INVALID', 'The address must not hold a user name or a password', { field });
    url.hash = '';
    if (await this.policy.isRefused(hostOf(url))) throw new AppError('WEBHOOK_REFUSED', `The host ${url.hostname} is this machine or a link-local address`, { field });
    return url.href;
  }

  /** Never throws: whatever goes wrong is the answer. Redirects are not followed. */
  async send(address: string, request: HttpRequest, stop: AbortSignal): Promise<HttpAnswer> {
    const url = new URL(address);
    const host = hostOf(url);
    if (isIP(host.name) !== 0 && (await this.policy.isRefused(host))) return { code: null, error: refused(host) };
    try {
      const code = await this.request(url, host, request, AbortSignal.any([stop, AbortSignal.timeout(timeoutMs)]));
      if (code >= 200 && code < 300) return { code, error: null };
      return { code, error: code >= 300 && code < 400 ? `Answered ${code}; redirects are not followed` : `Answered ${code}` };
    } catch (error) {
      return { code: null, ...failureOf(error) };
    }
  }

  private request(url: URL, host: TargetHost, { method, headers, body }: HttpRequest, signal: AbortSignal): Promise<number> {
    const options: RequestOptions = {
      method,
      agent: false,
      signal,
      lookup: this.lookupFor(host),
      headers: { 'user-agent': 'Holdfast', ...(body === '' ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }), ...headers },
    };
    return new Promise((resolve, reject) => {
      const request = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, options, (response) => {
        // The status says all; whatever else the other side would send is not waited for.
        resolve(response.statusCode ?? 0);
        response.destroy();
      });
      request.on('error', reject);
      request.end(body);
    });
  }

  private lookupFor(host: TargetHost): LookupFunction {
    return (name, options, callback) => {
      resolveName(name, { ...options, all: true }, (error, addresses) => {
        if (error !== null) return callback(error, '');
        const judge = async (): Promise<void> => {
          if (await this.policy.isRefused(host, () => Promise.resolve(addresses.map(({ address }) => address)))) throw new HostRefused(refused(host));
        };
        judge().then(
          () => (options.all === true ? callback(null, addresses) : callback(null, addresses[0]?.address ?? '', addresses[0]?.family)),
          (cause: unknown) => callback(cause instanceof Error ? cause : new Error(String(cause)), ''),
        );
      });
    };
  }
}

class HostRefused extends Error {
  override readonly name = 'HostRefused';
}

function hostOf({ hostname, port, protocol }: URL): TargetHost {
  return { name: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port) };
}

function refused({ name }: TargetHost): string {
  return `The host ${name} is this machine or a link-local address`;
}

function failureOf(error: unknown): { readonly error: string; readonly reason?: string } {
  if (error instanceof HostRefused) return { error: error.message };
  if (error instanceof Error && (error.name === 'TimeoutError' || (error.name === 'AbortError' && error.cause instanceof Error && error.cause.name === 'TimeoutError'))) return { error: `No answer within ${timeoutMs / 1000} seconds` };
  return { error: 'The address does not answer as an HTTP server', reason: reasonOf(error) };
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Of several addresses that were tried, the first one's reason.
  if (error instanceof AggregateError && error.errors[0] instanceof Error) return error.errors[0].message;
  return error.message;
}
