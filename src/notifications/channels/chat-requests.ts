import type { AlertSeverity } from '../../alerts/alert-event.js';
import type { NotifierAddress } from '../notifier-address.js';
import { cut, headlineOf, type Message } from '../message.js';

/** What a chat service is sent: a POST of JSON. */
export interface ChatRequest {
  readonly url: string;
  readonly body: unknown;
}

export type ChatChannel = 'SLACK' | 'DISCORD' | 'TEAMS' | 'TELEGRAM';

const telegramApi = 'https://api.telegram.org';
const discordColors: Readonly<Record<AlertSeverity, number>> = { INFO: 0x2ecc71, WARNING: 0xf1c40f, ERROR: 0xe74c3c };
const teamsColors: Readonly<Record<AlertSeverity, string>> = { INFO: 'good', WARNING: 'warning', ERROR: 'attention' };

/** In the shape that each service documents, within its limits; nothing of the text is taken for markup or a mention. */
export const chatRequests: Readonly<Record<ChatChannel, (address: NotifierAddress, message: Message) => ChatRequest>> = {
  SLACK: ({ to }, message) => ({
    url: to,
    body: {
      text: slackText(headlineOf(message)),
      blocks: [
        { type: 'header', text: { type: 'plain_text', text: cut(headlineOf(message), 150), emoji: false } },
        { type: 'section', text: { type: 'plain_text', text: cut(message.text, 3000), emoji: false } },
      ],
    },
  }),
  DISCORD: ({ to }, message) => ({
    url: to,
    body: {
      embeds: [{ title: cut(headlineOf(message), 256), description: cut(message.text.replace(/[\\*_~`|>#[\]]/g, '\\$&'), 4096), color: discordColors[message.severity], timestamp: message.at.toISOString() }],
      allowed_mentions: { parse: [] },
    },
  }),
  TEAMS: ({ to }, message) => ({
    url: to,
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
              { type: 'TextBlock', text: teamsText(headlineOf(message)), weight: 'bolder', size: 'medium', color: teamsColors[message.severity], wrap: true },
              { type: 'TextBlock', text: teamsText(message.text), wrap: true },
            ],
          },
        },
      ],
    },
  }),
  TELEGRAM: ({ to, token = '', apiUrl = telegramApi }, message) => ({
    url: `${apiUrl.replace(/\/+$/, '')}/bot${token}/sendMessage`,
    body: { chat_id: to, text: cut(`${headlineOf(message)}\n\n${message.text}`, 4096), link_preview_options: { is_disabled: true } },
  }),
};

function slackText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** A text block reads Markdown. */
function teamsText(text: string): string {
  return cut(text.replace(/[\\*_[\]]/g, '\\$&'), 10_000);
}
