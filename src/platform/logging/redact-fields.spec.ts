import { expect, it } from '@jest/globals';
import { redactFields } from './redact-fields.js';

it('hides fields that are named like a secret, and credentials in any text', () => {
  const logged = JSON.stringify(
    redactFields({
      tenantId: 't1',
      password: 'hunter2',
      target: { uri: 'mongodb://u:hunter2@h/', database: 'shop' },
      note: 'connecting to mongodb://u:hunter2@h/ with Bearer hunter2hunter2',
      list: [{ authorization: 'hunter2' }],
      code: '123456',
      bytes: Buffer.from('hunter2'),
    }),
  );
  expect(logged).not.toContain('hunter2');
  expect(logged).not.toContain('123456');
  expect(logged).toContain('"tenantId":"t1"');
  expect(logged).toContain('"database":"shop"');
});

it('keeps of an error its message, code, stack and cause, and nothing that a driver hung on it', () => {
  const cause = Object.assign(new Error('at mongodb://u:hunter2@h/'), { options: { credentials: 'hunter2' } });
  const logged = JSON.stringify(redactFields({ err: Object.assign(new Error('failed', { cause }), { code: '23505', parameters: ['hunter2'], query: 'insert' }) }));
  expect(logged).not.toContain('hunter2');
  expect(logged).toContain('23505');
  expect(logged).toContain('failed');
});
