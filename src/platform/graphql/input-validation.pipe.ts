import { type ArgumentMetadata, Injectable, type ValidationError, ValidationPipe } from '@nestjs/common';
import { AppError } from '#errors';
import { findUnstorableText } from '../database/storable-text.js';

/** Checks inputs by their class-validator decorators; unknown fields are refused, and text that cannot be stored, in whatever field; every fault is named with its path. */
@Injectable()
export class InputValidationPipe extends ValidationPipe {
  constructor() {
    super({
      transform: true,
      whitelist: true,
      forbidNonWhitelisted: true,
      validationError: { target: false, value: false },
      exceptionFactory: (errors) => badUserInput(errors),
    });
  }

  override async transform(value: unknown, metadata: ArgumentMetadata): Promise<unknown> {
    // What is custom comes from us, such as the actor.
    const unstorable = metadata.type === 'custom' ? null : findUnstorableText(value);
    if (unstorable !== null) {
      const field = unstorable.length > 0 ? [...unstorable] : [metadata.data ?? 'value'];
      throw new AppError('BAD_USER_INPUT', `${field.join('.')}: must be text without NUL characters and halves of characters`, { field });
    }
    return super.transform(value, metadata);
  }
}

function badUserInput(errors: readonly ValidationError[]): AppError {
  const faults = errors.flatMap((error) => faultsOf(error, []));
  const [first] = faults;
  const message = faults.map(({ path, message: text }) => `${path.join('.')}: ${text}`).join('; ');
  return new AppError('BAD_USER_INPUT', message === '' ? 'The input is not valid' : message, { field: first?.path ?? [] });
}

function faultsOf(error: ValidationError, parents: readonly string[]): { path: string[]; message: string }[] {
  const path = [...parents, error.property];
  const own = Object.values(error.constraints ?? {}).map((message) => ({ path, message: withoutName(message, error.property) }));
  return [...own, ...(error.children ?? []).flatMap((child) => faultsOf(child, path))];
}

/** Most messages begin with the name of the field, which the path has told already. */
function withoutName(message: string, name: string): string {
  return message.replace(/^([A-Za-z0-9]+):? /, (start, first: string) => (first === name ? '' : start));
}
