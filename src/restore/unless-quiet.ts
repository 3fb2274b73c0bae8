import type { Work } from '#engines';
import { AppError } from '#errors';

/**
 * Waits for `read` as long as it reports progress. Once nothing was reported for `quietForMs` the caller is told so at once; what hangs in
 * `read` ends as soon as it comes back, by its signal.
 *
 * @throws AppError DEADLINE_EXCEEDED
 */
export async function unlessQuiet<T>(quietForMs: number, read: (work: Work) => Promise<T>): Promise<T> {
  const { promise: quiet, reject } = Promise.withResolvers<never>();
  const controller = new AbortController();
  const timer = setTimeout(() => {
    const error = new AppError('DEADLINE_EXCEEDED', `Nothing of the archive could be read for ${Math.round(quietForMs / 1000)} seconds`);
    controller.abort(error);
    reject(error);
  }, quietForMs);
  const report = (): void => {
    if (!controller.signal.aborted) timer.refresh();
  };
  try {
    return await Promise.race([read({ signal: controller.signal, report, log: () => undefined }), quiet]);
  } finally {
    clearTimeout(timer);
  }
}
