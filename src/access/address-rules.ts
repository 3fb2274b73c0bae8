import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { Permission } from './permission.js';

/** Addresses from which a workspace may be used: for everything, or for one permission alone. */
export interface AddressRule {
  /** CIDR, as `normalRange` writes it. */
  readonly range: string;
  readonly permission: Permission | null;
  readonly note: string | null;
}

/**
 * Whether the rules let `address` use the permission; null asks only whether the workspace can be used from there at all. A list that is empty allows every
 * address. The list for everything and the permission's own must both allow it.
 */
export function allowsAddress(rules: readonly AddressRule[], address: string, permission: Permission | null): boolean {
  return isListed(rules, address, null) && (permission === null || isListed(rules, address, permission));
}

/** An address or a range as it is kept: IPv4 in IPv6 notation as IPv4, one address as the range that holds it alone. Null for what is neither; `network` is given where bits beside the range are set. */
export function normalRange(text: string): { readonly range: string } | { readonly network: string } | null {
  const [address = '', bits, ...rest] = text.trim().split('/');
  const asked = address.includes('%') ? null : parseAddress(address);
  if (asked === null || rest.length > 0 || (bits !== undefined && !/^\d{1,3}$/.test(bits))) return null;
  const longest = asked instanceof ipaddr.IPv4 ? 32 : 128;
  const prefix = bits === undefined ? longest : Number(bits);
  if (prefix > longest) return null;
  if (asked instanceof ipaddr.IPv6 && asked.isIPv4MappedAddress() && prefix >= 96) return normalRange(`${asked.toIPv4Address().toString()}/${prefix - 96}`);
  const cidr = `${asked.toString()}/${prefix}`;
  const network = (asked instanceof ipaddr.IPv4 ? ipaddr.IPv4.networkAddressFromCIDR(cidr) : ipaddr.IPv6.networkAddressFromCIDR(cidr)).toString();
  return network === asked.toString() ? { range: cidr } : { network: `${network}/${prefix}` };
}

function isListed(rules: readonly AddressRule[], address: string, permission: Permission | null): boolean {
  const list = rules.filter((rule) => rule.permission === permission);
  return list.length === 0 || list.some(({ range }) => isWithin(address, range));
}

function isWithin(address: string, range: string): boolean {
  // What is no address, a proxy's "unknown" for example, is in no range.
  const parsed = parseAddress(address.replace(/%.*$/, ''));
  if (parsed === null) return false;
  const client = parsed instanceof ipaddr.IPv6 && parsed.isIPv4MappedAddress() ? parsed.toIPv4Address() : parsed;
  const [network, prefix] = ipaddr.parseCIDR(range);
  return client.kind() === network.kind() && client.match([network, prefix]);
}

/** Stricter than ipaddr.js alone, which reads `10.1` as 10.0.0.1 and the deprecated `::10.0.0.1` as if it were `::ffff:10.0.0.1`. */
function parseAddress(text: string): ipaddr.IPv4 | ipaddr.IPv6 | null {
  return isIP(text) === 0 || /^::\d+\./.test(text) ? null : ipaddr.parse(text);
}
