/** A worker process of its own, for tests that kill it: `<work file>` is what its work leaves behind until it is cleaned up. */
import { rm, writeFile } from 'node:fs/promises';
import { AppError } from '#errors';
import { operationTiming } from '../../src/operations/operation-timing.ts';
import { OperationProcess, ScriptedHandler, untilAborted } from './operation-process.ts';

const { DATABASE_URL: databaseUrl = '', WORK_FILE: workFile = '', FAULT_POINTS: faultPoints = '' } = process.env;

const handler = new ScriptedHandler({
  run: async (context) => {
    await context.enter('WORK');
    await writeFile(workFile, 'half of the work');
    await context.faultPoint('work.middle');
    return untilAborted(context.signal);
  },
  recover: async () => {
    await rm(workFile, { force: true });
    throw new AppError('WORKER_LOST', 'The process that did the work stopped');
  },
});

const worker = await OperationProcess.start({ databaseUrl, handlers: [handler], timing: operationTiming, faultPoints: faultPoints === '' ? [] : [faultPoints] });
process.on('SIGTERM', () => void worker.stop().then(() => process.exit(0)));
console.log('ready');
