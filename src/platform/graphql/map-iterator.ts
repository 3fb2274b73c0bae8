/** Maps what an iterator yields; `return()` reaches the source at once, even while it waits for its next value. */
export function mapIterator<From, To>(source: AsyncIterableIterator<From>, map: (value: From) => To | Promise<To>): AsyncIterableIterator<To> {
  return {
    async next(): Promise<IteratorResult<To, undefined>> {
      const result = await source.next();
      return result.done === true ? { done: true, value: undefined } : { done: false, value: await map(result.value) };
    },
    async return(): Promise<IteratorResult<To, undefined>> {
      await source.return?.();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
