import { ApiError } from './supervisor/console-api.ts';
import { demoSlug, type DemoMember, ensureDemoWorkspace } from './supervisor/demo-workspace.ts';
import { Holdfast, type Running } from './supervisor/holdfast.ts';
import { readSettings, StartError } from './supervisor/settings.ts';
import { stopOnSignals } from './supervisor/signals.ts';

const say = (line: string) => void process.stdout.write(`${line}\n`);

async function main(): Promise<void> {
  const settings = await readSettings(process.env);
  for (const warning of settings.warnings) say(`holdfast: ${warning}`);
  const holdfast = new Holdfast(settings, process.env, (line) => say(`holdfast: ${line}`));
  const stopping = stopOnSignals(async () => {
    say('\nholdfast: Stopping');
    await holdfast.stop();
    say('holdfast: Stopped');
  });
  try {
    const running = await holdfast.start();
    const members =
      running.demoMongoUri !== null && running.admin !== null && settings.values.HOLDFAST_ROLE !== 'worker'
        ? await ensureDemoWorkspace({ url: running.url, admin: running.admin, mongoUri: running.demoMongoUri, dataDir: settings.values.HOLDFAST_DATA_DIR })
        : [];
    if (!stopping.begun) say(welcome(running, members));
  } catch (error) {
    if (stopping.begun) return;
    await holdfast.stop();
    throw error;
  }
}

function welcome({ url, admin, notices }: Running, members: readonly DemoMember[]): string {
  const lines = ['', `  Holdfast is ready at ${url}/graphql`, ''];
  if (admin !== null) lines.push(`  E-mail     ${admin.email}`, `  Password   ${admin.password}`, '');
  if (members.length > 0) {
    lines.push(`  Demo workspace "Acme Trading" (slug ${demoSlug}), a member of each role:`);
    for (const { role, email, password } of members) lines.push(`    ${role.padEnd(9)}${email.padEnd(33)}${password}`);
    lines.push('');
  }
  for (const notice of notices) lines.push(...notice.split('\n').map((line) => `  ${line}`), '');
  lines.push('  Ctrl-C stops it.', '');
  return lines.join('\n');
}

main().catch((error: unknown) => {
  process.stderr.write(`holdfast: ${error instanceof StartError || error instanceof ApiError ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exit(1);
});
