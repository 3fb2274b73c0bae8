import { describe, expect, it } from '@jest/globals';
import { AppConfig } from '../config/app-config.js';
import { GuidanceService } from './guidance.service.js';
import { type HelpEntry, parseHelpPage } from './help-page.js';
import { HelpTopic } from './help-text.model.js';

/** What each feature asks to be said, word for word as it is served. */
const asked: Readonly<Record<string, readonly string[]>> = {
  'S0-9': ['All data: the complete state; the largest file and the longest run. Recommended for periodic backups.'],
  'S0-10': ['Transactions only: sales, purchases, inventory movements; smaller and faster.'],
  'S0-11': ['Master data only: organisation, users, items, customers, suppliers; the smallest and fastest.'],
  'S0-16': ['see in the preview what a rule would keep and delete before you save it'],
  'S0-21': ['deleted automatically', 'the last good backup always stays'],
  'S0-23': ['A restore of the whole database replaces ALL current data.'],
  'S0-33': ['restore the chosen collections alone, or merge'],
  'S0-34': ['A moment between two backups cannot be restored'],
  'S0-35': ['A reset permanently deletes the transactional data'],
  'S0-41': ['before you confirm'],
  'S0-44': ['Take a full backup, download it and store it in a safe place.'],
  'S0-45': ['Export critical data: customer lists, supplier lists, item catalogues, reports.'],
  'S0-46': ['Inform all users, agree on a maintenance window, and see that no transaction is under way.'],
  'S0-47': ['Review the settings: organisation, permissions, branches, tax and currency.'],
  'S0-82': ['Keep it in a place that only authorised people reach'],
  'S0-84': ['Take backups regularly', 'Use more than one kind', 'Keep copies off-site', 'Test restores', 'Keep a history'],
  'S0-85': ['The procedure is written down', 'It was rehearsed', 'The staff know who may restore', 'The contact of support is at hand'],
  'S0-86': ['Reset only when it is necessary.', 'Always take a backup before.', 'Notify all users.', 'Schedule it during downtime.', 'Verify the workspace after the reset.'],
  'S0-87': ['Export regularly.', 'Choose the format by its use', 'Validate what was exported.'],
  'S0-88': ['Try a small sample first.', 'Have a way back', 'Verify the data afterwards.'],
  'S0-89': ['See that the archive store has space left', 'See that the database is up and reachable', 'index builds that hold collections', 'its log', 'Contact support'],
  'S0-90': ['Verify the file', 'See that the database is reachable and has disk space left.'],
  'S0-91': ['Check the verification code', 'See that the database is reachable.', 'permission to reset'],
  'S0-94': ['the help pages', 'In an emergency'],
  'S1-8': ['No further automatic backups run for a schedule that is disabled.'],
  'S1-16': ['Restoring a backup temporarily stops all operations across the organisation.'],
  'S1-17': ['Ensure you select the correct file.'],
  'S1-18': ['the help pages', 'Contact support'],
  'S2-6': ['Recoverable mistakes', 'Evidence', 'Peace of mind', 'Disasters'],
  'S2-7': ['A green lock', 'An open orange lock'],
  'S2-8': ['Most workspaces stay well below 100 MB.'],
  'S2-9': ['you need not wait for it: take one now'],
  'S2-11': ['a large import, a bulk delete, an overhaul of the settings'],
  'S2-13': ['request a temporary change'],
  'S2-14': ['deleted automatically when its retention rule lets them go'],
  'S2-15': ['Monthly: low activity', 'Every 15 days', 'Every 7 days', 'Every 3 days', 'Every 24 hours', 'Daily at a time'],
  'S2-16': ['Most workspaces run on every 7 or every 15 days.'],
  'S2-17': ['a key of each workspace, derived from the backup key'],
  'S2-18': ['New backups fail until the backup key is configured.'],
  'S2-19': ['the old one must be kept'],
  'S2-23': ['deleted automatically when its retention rule lets them go'],
  'S2-24': ['Backups count against the storage of your workspace.'],
  'S2-27': ['What was created or changed after the backup is no longer there afterwards.'],
  'S2-28': ['This is possible for 7 days.'],
  'S2-29': ['Review the file: its name, date and time, and whether it is encrypted.'],
  'S2-30': ['Coordinate with the heads of department'],
  'S2-31': ['say what changed, and when'],
  'S2-34': ['ask your provider to hold it'],
  'S2-35': ['A backup is an archive of the whole database, made to be restored.'],
  'S2-36': ['While a subscription is suspended schedules stop and the storage is closed.'],
  'S2-37': ['At the end of each financial year', 'a temporary change before a year-end run', 'delete what you no longer need', 'keep an export of that module', 'a name or a note'],
  'S2-38': ['the help pages'],
  'S3-6': ['replaces ALL current data', 'Restore only from files that you trust', 'another version of the product', 'takes several minutes'],
  'S3-12': ['Each one says why it is kept and until when'],
  'S3-16': ['Type the name of the workspace and start.', 'Log in again'],
  'S3-23': ['Daily: the scheduled backup has run', 'Take a backup and wait until it says COMPLETED.', 'See that its size is reasonable.', '7 to 30 days at least'],
  'S3-24': ['space left', 'up and reachable', 'its log', 'The schedule is active'],
  'S4-7': ['SQL files cannot be restored into this kind of database.'],
  'S4-9': ['Decide whether to begin with a dry run.'],
  'S4-10': ['Every integration that uses the old key fails'],
  'S4-11': ['The history shows the backups that you expect.', 'The backup that you need says COMPLETED', 'The cron key shown is the one'],
  'S4-12': ['your role lacks the permission', 'its first bytes decide', 'rotate the key'],
  'S4-13': ['Verify the workspace and the file before you start'],
  'S4-14': ['can be searched by workflow, module name or keyword'],
};

const environment = { DATABASE_URL: 'postgresql://localhost/x', HOLDFAST_SECRET_KEY: Buffer.alloc(32, 7).toString('base64') };

async function everything(env: Record<string, string> = {}): Promise<HelpEntry[]> {
  const guidance = new GuidanceService(AppConfig.from({ ...environment, ...env }));
  return (await Promise.all(Object.values(HelpTopic).map((topic) => guidance.about(topic)))).flat();
}

describe('help texts', () => {
  it('say what each feature asks for', async () => {
    const entries = await everything();
    const said = (id: string): string => entries.filter(({ features }) => features.includes(id)).map(({ text, items }) => [text, ...items].join('\n')).join('\n');
    const missing = Object.entries(asked).flatMap(([id, phrases]) => phrases.filter((phrase) => !said(id).includes(phrase)).map((phrase) => `${id}: ${phrase}`));
    expect(missing).toEqual([]);
    expect(new Set(entries.flatMap(({ features }) => features))).toEqual(new Set(Object.keys(asked)));
  });

  it('have ids of their own', async () => {
    const ids = (await everything()).map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toContain('restore-inform-your-team');
  });

  it('lead to the support and the help pages of the product, and nowhere where there are none', async () => {
    const texts = (entries: readonly HelpEntry[]): string => entries.flatMap(({ text, items }) => [text, ...items]).join('\n');
    const linked = texts(await everything({ HOLDFAST_SUPPORT_URL: 'https://product.example.com/support', HOLDFAST_HELP_URL: 'https://product.example.com/help' }));
    expect(linked).toContain('[Contact support](https://product.example.com/support)');
    expect(linked).toContain('[The help pages](https://product.example.com/help) can be searched');
    const bare = texts(await everything());
    expect(bare).toContain('Contact support by the ways');
    expect(bare).not.toMatch(/\]\(/);
  });

  it('are refused without a kind', () => {
    expect(() => parseHelpPage('x', '# X\n\n## Y\n\nText', { support: null, help: null })).toThrow('x, Y');
  });
});
