/**
 * Ends this process after `stop`, once, whatever asks for it first: Ctrl-C, SIGTERM, a closed terminal, or the end of
 * the process that started this one (by its channel, so that SIGKILL there is noticed here).
 */
export function stopOnSignals(stop: () => Promise<void>): { readonly begun: boolean } {
  const state = { begun: false };
  const begin = (exitCode: number) => {
    if (state.begun) return;
    state.begun = true;
    stop().then(
      () => process.exit(exitCode),
      (error: unknown) => {
        process.stderr.write(`holdfast: ${error instanceof Error ? error.message : String(error)}\n`);
        process.exit(1);
      },
    );
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => begin(0));
  process.on('disconnect', () => begin(1));
  // The reader of our output may go before we do.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  return state;
}
