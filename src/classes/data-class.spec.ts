import { describe, expect, it } from '@jest/globals';
import { type ClassRule, decide } from './data-class.js';
import { defaultProfile } from './default-profile.js';

const rule = (pattern: string, dataClass: ClassRule['dataClass'] = 'MASTER', resettable = true): ClassRule => ({ pattern, dataClass, resettable });

describe('a rule', () => {
  it.each([
    ['orders', 'orders', true],
    ['orders', 'ORDERS', true],
    ['orders', 'orders2', false],
    ['order*', 'orders2', true],
    ['*order', 'salesOrder', true],
    ['*order*', 'sales_order_lines', true],
    ['a*b*c', 'a--b--c', true],
    ['a*b*c', 'acb', false],
    ['*b*b', 'b', false],
    ['ab*bc', 'abc', false],
    ['*', 'anything', true],
    ['a.b', 'axb', false],
    ['x**', 'x', true],
  ])('%s fits %s: %s', (pattern, name, fits) => {
    expect(decide(name, { tenant: [rule(pattern)], provider: [] }) !== null).toBe(fits);
  });

  it('of the tenant comes before all of the provider, and the first one that fits decides', () => {
    const provider = [rule('orders', 'TRANSACTION'), rule('*', 'SYSTEM', false)];
    const tenant = [rule('ord*', 'CONFIG', false), rule('orders', 'MASTER')];
    expect(decide('orders', { tenant, provider })).toEqual({ pattern: 'ord*', dataClass: 'CONFIG', resettable: false, from: 'TENANT' });
    expect(decide('orders', { tenant: [], provider })).toMatchObject({ pattern: 'orders', from: 'PROVIDER' });
    expect(decide('other', { tenant, provider })).toMatchObject({ pattern: '*', dataClass: 'SYSTEM' });
  });

  it('takes no longer for a pattern made to be slow', () => {
    expect(decide('a'.repeat(255), { tenant: [rule(`${'*a'.repeat(127)}b`)], provider: [] })).toBeNull();
  });
});

describe('the default profile', () => {
  const resettable = (names: readonly string[]): string[] => names.filter((name) => decide(name, { tenant: [], provider: defaultProfile })?.resettable === true);

  it('wipes what a reset removes (S0-36)', () => {
    const removed = ['sales', 'purchases', 'customers', 'suppliers', 'products', 'inventory', 'payments', 'adjustments', 'invoices', 'bills', 'receipts', 'reports', 'analytics', 'activity_logs', 'sales_orders', 'userActivityLogs'];
    expect(resettable(removed)).toEqual(removed);
  });

  it('keeps what a reset preserves (S0-37), and what nobody has decided', () => {
    expect(resettable(['organizations', 'organization_settings', 'users', 'roles', 'permissions', 'branches', 'locations', 'currencies', 'tax_settings', 'system.js', 'counters', 'sessions', 'something_else'])).toEqual([]);
  });

  it('knows customers and items as master data that is wiped all the same (C16)', () => {
    for (const name of ['customers', 'items']) expect(decide(name, { tenant: [], provider: defaultProfile })).toMatchObject({ dataClass: 'MASTER', resettable: true });
  });
});
