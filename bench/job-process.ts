import { collectEach } from '#archive';
import { garbageBytes } from '../src/config/lean-process.ts';
import type { Job, JobReply, JobResult } from './job.ts';
import { engineBackup, engineRestore, engineSelection } from './engine-runs.ts';
import { measureLimits } from './limits.ts';

async function perform(job: Job): Promise<JobResult> {
  switch (job.kind) {
    case 'backup':
      return engineBackup(job.target, job.codec);
    case 'restore':
      return engineRestore(job.target, job.codec, job.number);
    case 'selection':
      return engineSelection(job.target, job.codec, job.number, job.collection);
    case 'limits':
      return measureLimits(job.target);
  }
}

async function answer(job: Job): Promise<JobReply> {
  try {
    return { result: await perform(job) };
  } catch (error) {
    return { failure: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

collectEach(garbageBytes);
const reply = await answer(JSON.parse(process.argv[2] ?? '') as Job);
process.send?.(reply, () => process.disconnect());
