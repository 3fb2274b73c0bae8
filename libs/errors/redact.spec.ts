import { expect, it } from '@jest/globals';
import { redact } from './redact.js';

const secret = 'A'.repeat(43);

it.each([
  ['an API key', `the header was hfk_${secret}`, 'the header was hfk_***'],
  ['a cron key', `hfc_${secret}, refused`, 'hfc_***, refused'],
  ['the secret of a webhook', `signed with whsec_${secret}`, 'signed with whsec_***'],
])('%s is not shown', (_what, text, shown) => expect(redact(text)).toBe(shown));

it('what merely begins like one is left as it is', () => expect(redact('hfk_short and hfc_ and whsec_x')).toBe('hfk_short and hfc_ and whsec_x'));
