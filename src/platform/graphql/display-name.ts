import { Transform } from 'class-transformer';
import { ValidateBy } from 'class-validator';

const maxNameLength = 120;

/** Control, format (bidirectional overrides among them), surrogate, private-use and line-separating characters: a name is one line that reads as it is. */
const forbidden = /[\p{Cc}\p{Co}\p{Cs}\p{Zl}\p{Zp}\u200B\u200E\u200F\u202A-\u202E\u2060\u2066-\u2069\uFEFF]/u;

function isDisplayName(value: unknown): boolean {
  if (typeof value !== 'string') return false;
  const length = [...value].length;
  return length >= 1 && length <= maxNameLength && value.trim() === value && !forbidden.test(value);
}

/** A name that people give and must type again to confirm: 1 to 120 characters, kept in Unicode NFC. */
export function IsDisplayName(): PropertyDecorator {
  const normalize = Transform(({ value }: { value: unknown }) => (typeof value === 'string' ? value.normalize('NFC') : value));
  const validate = ValidateBy({
    name: 'isDisplayName',
    validator: {
      validate: isDisplayName,
      defaultMessage: () => `must be 1 to ${maxNameLength} characters on one line, without control characters and without spaces at its ends`,
    },
  });
  return (target, property) => {
    normalize(target, property);
    validate(target, property);
  };
}
