import { createUnionType } from '@nestjs/graphql';
import type { Type } from '@nestjs/common';

const resultTypes = new Map<string, Type>();

/**
 * Makes a feature's model one of the results of an operation; called where the model is declared. A handler's result that has this name
 * as its `type` is shown as this model.
 */
export function registerOperationResult(name: string, model: Type): void {
  resultTypes.set(name, model);
}

export interface OperationResultValue {
  readonly type: string;
}

const union: unknown = createUnionType({
  name: 'OperationResult',
  description: 'What a completed operation brought about.',
  types: () => [...resultTypes.values()],
  resolveType: (value: OperationResultValue) => value.type,
});

/** For `@Field(() => OperationResult)`. */
export const OperationResult = union as object;

/** Null for a result that no model shows. */
export function toOperationResult(result: Readonly<Record<string, unknown>> | null): OperationResultValue | null {
  const type = result?.['type'];
  return typeof type === 'string' && resultTypes.has(type) ? { ...result, type } : null;
}
