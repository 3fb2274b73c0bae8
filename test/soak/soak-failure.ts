/** Something is not as the model says; the lines tell what. */
export class SoakFailure extends Error {
  override readonly name = 'SoakFailure';
  constructor(readonly lines: readonly string[]) {
    super(lines.join('\n'));
  }
}
