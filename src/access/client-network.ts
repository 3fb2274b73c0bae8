import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/**
 * What one sender of requests has to itself: an IPv4 address, or the first 64 bits of an IPv6 one, of whose others it may take any. A proxy may put a port
 * behind the address.
 */
export function networkOf(address: string): string {
  const [, bracketed, plain] = /^(?:\[([^\]]+)\]|([^:]+))(?::\d+)?$/.exec(address) ?? [];
  const text = (bracketed ?? plain ?? address).replace(/%.*$/, '');
  if (isIP(text) === 0) return text.slice(0, 64);
  const parsed = ipaddr.process(text);
  return parsed instanceof ipaddr.IPv6 ? `${ipaddr.IPv6.networkAddressFromCIDR(`${parsed.toString()}/64`).toString()}/64` : parsed.toString();
}
