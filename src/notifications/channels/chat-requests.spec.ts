import { describe, expect, it } from '@jest/globals';
import type { Message } from '../message.js';
import { chatRequests } from './chat-requests.js';

const message: Message = {
  id: 'a1', event: 'BACKUP_FAILED', severity: 'ERROR', title: 'Backup failed', text: 'The backup failed: <!channel> & *stop*', tenant: { id: 't', slug: 'acme', name: 'Acme <Trading>' }, at: new Date('2026-01-02T03:04:05Z'),
};
const headline = 'Backup failed: Acme <Trading>';

/** Written from what each service documents. */
describe('a chat message', () => {
  it('has the shape of a Slack incoming webhook, and mentions nobody', () => {
    expect(chatRequests.SLACK({ to: 'https://hooks.slack.com/services/T/B/x' }, message)).toEqual({
      url: 'https://hooks.slack.com/services/T/B/x',
      body: {
        text: 'Backup failed: Acme &lt;Trading&gt;',
        blocks: [
          { type: 'header', text: { type: 'plain_text', text: headline, emoji: false } },
          { type: 'section', text: { type: 'plain_text', text: message.text, emoji: false } },
        ],
      },
    });
  });

  it('has the shape of a Discord webhook, and mentions nobody', () => {
    expect(chatRequests.DISCORD({ to: 'https://discord.com/api/webhooks/1/x' }, message)).toEqual({
      url: 'https://discord.com/api/webhooks/1/x',
      body: { embeds: [{ title: headline, description: 'The backup failed: <!channel\\> & \\*stop\\*', color: 0xe74c3c, timestamp: '2026-01-02T03:04:05.000Z' }], allowed_mentions: { parse: [] } },
    });
  });

  it('has the shape of an Adaptive Card for Teams', () => {
    expect(chatRequests.TEAMS({ to: 'https://example.webhook.office.com/x' }, message)).toEqual({
      url: 'https://example.webhook.office.com/x',
      body: {
        type: 'message',
        attachments: [
          {
            contentType: 'application/vnd.microsoft.card.adaptive',
            contentUrl: null,
            content: {
              $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
              type: 'AdaptiveCard',
              version: '1.4',
              body: [
                { type: 'TextBlock', text: headline, weight: 'bolder', size: 'medium', color: 'attention', wrap: true },
                { type: 'TextBlock', text: 'The backup failed: <!channel> & \\*stop\\*', wrap: true },
              ],
            },
          },
        ],
      },
    });
  });

  it('has the shape of sendMessage of the Telegram Bot API', () => {
    expect(chatRequests.TELEGRAM({ to: '-100123', token: '1:abc' }, message)).toEqual({
      url: 'https://api.telegram.org/bot1:abc/sendMessage',
      body: { chat_id: '-100123', text: `${headline}\n\n${message.text}`, link_preview_options: { is_disabled: true } },
    });
    expect(chatRequests.TELEGRAM({ to: '1', token: '1:abc', apiUrl: 'https://bots.example/api/' }, message).url).toBe('https://bots.example/api/bot1:abc/sendMessage');
  });

  it('keeps within the limits of each service, and breaks no character', () => {
    const long = { ...message, text: '😀'.repeat(20_000), tenant: { id: 't', slug: 'a', name: '😀'.repeat(1_000) } };
    const texts = (of: keyof typeof chatRequests) => JSON.stringify(chatRequests[of]({ to: 'https://x.example/', token: '1:a' }, long).body).match(/"(?:[^"\\]|\\.)*"/g) ?? [];
    const longest = (of: keyof typeof chatRequests) => Math.max(...texts(of).map((text) => [...(JSON.parse(text) as string)].length));
    expect(longest('DISCORD')).toBe(4096);
    expect(longest('TELEGRAM')).toBe(4096);
    expect(longest('SLACK')).toBe(3000);
    expect(texts('SLACK').join('')).not.toMatch(/\\ud83d"/);
  });
});
