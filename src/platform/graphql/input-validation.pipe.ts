import { Injectable, type ValidationError, ValidationPipe } from '@nestjs/common';
import { AppError } from '#errors';

/** Checks inputs by their class-validator decorators; unknown fields are refused; every fault is named with its path. */
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
}

function badUserInput(errors: readonly ValidationError[]): AppError {
  const faults = errors.flatMap((error) => faultsOf(error, []));
  const [first] = faults;
  const message = faults.map(({ path, message: text }) => `${path.join('.')}: ${text}`).join('; ');
  return new AppError('BAD_USER_INPUT', message === '' ? 'The input is not valid' : message, { field: first?.path ?? [] });
}

function faultsOf(error: ValidationError, parents: readonly string[]): { path: string[]; message: string }[] {
  const path = [...parents, error.property];
  const own = Object.values(error.constraints ?? {}).map((message) => ({ path, message }));
  return [...own, ...(error.children ?? []).flatMap((child) => faultsOf(child, path))];
}
