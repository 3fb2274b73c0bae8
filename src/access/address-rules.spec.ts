import { describe, expect, it } from '@jest/globals';
import { type AddressRule, allowsAddress, normalRange } from './address-rules.js';
import { Permission } from './permission.js';

const rule = (range: string, permission: Permission | null = null): AddressRule => ({ range, permission, note: null });

describe('a range', () => {
  it.each([
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['203.0.113.7', '203.0.113.7/32'],
    [' 203.0.113.7/32 ', '203.0.113.7/32'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['2001:DB8::/32', '2001:db8::/32'],
    ['2001:db8:0:0:0:0:0:1', '2001:db8::1/128'],
    ['::/0', '::/0'],
    ['::ffff:10.0.0.0/104', '10.0.0.0/8'],
    ['::ffff:203.0.113.7', '203.0.113.7/32'],
  ])('%s is kept as %s', (text, range) => {
    expect(normalRange(text)).toEqual({ range });
  });

  it.each(['', 'localhost', '10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/8/8', '10.0.0.0/', '10.1/8', '0x0a.0.0.0/8', '010.0.0.0/8', '2001:db8::/129', 'fe80::1%eth0', '::10.0.0.1', '10.0.0.*', '10.0.0.0-10.0.0.9'])('%s is none', (text) => {
    expect(normalRange(text)).toBeNull();
  });

  it.each([
    ['203.0.113.7/24', '203.0.113.0/24'],
    ['2001:db8::1/64', '2001:db8::/64'],
    ['::ffff:10.1.0.0/104', '10.0.0.0/8'],
  ])('%s has bits beside the range, which would be %s', (text, network) => {
    expect(normalRange(text)).toEqual({ network });
  });
});

describe('rules', () => {
  it.each([
    ['10.200.0.1', true],
    ['11.0.0.1', false],
    ['::ffff:10.0.0.1', true],
    ['::ffff:a00:1', true],
    ['::ffff:11.0.0.1', false],
    ['2001:db8:0:1::9', true],
    ['2001:db8:0:2::9', false],
    ['::10.0.0.1', false],
    ['unknown', false],
    ['10.1', false],
    ['10.0.0.1:4711', false],
    ['', false],
  ])('for 10.0.0.0/8 and 2001:db8:0:1::/64 say of %s: %s', (address, allowed) => {
    expect(allowsAddress([rule('10.0.0.0/8'), rule('2001:db8:0:1::/64')], address, null)).toBe(allowed);
  });

  it('that are none allow everything, and every IPv6 address is no IPv4 address', () => {
    expect(allowsAddress([], 'unknown', Permission.RESTORE_RUN)).toBe(true);
    expect(allowsAddress([rule('::/0')], '10.0.0.1', null)).toBe(false);
    expect(allowsAddress([rule('0.0.0.0/0')], '2001:db8::1', null)).toBe(false);
  });

  it('for one permission bind that one alone, on top of those for everything', () => {
    const rules = [rule('10.0.0.0/8'), rule('10.0.0.0/24', Permission.RESTORE_RUN), rule('192.0.2.0/24', Permission.BACKUP_DOWNLOAD)];
    expect(allowsAddress(rules, '10.0.5.1', Permission.BACKUP_CREATE)).toBe(true);
    expect(allowsAddress(rules, '10.0.5.1', Permission.RESTORE_RUN)).toBe(false);
    expect(allowsAddress(rules, '10.0.0.1', Permission.RESTORE_RUN)).toBe(true);
    expect(allowsAddress(rules, '192.0.2.1', Permission.BACKUP_DOWNLOAD)).toBe(false);
    expect(allowsAddress(rules.slice(1), '192.0.2.1', null)).toBe(true);
  });
});
