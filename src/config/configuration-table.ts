import { variableNames, variableNotes } from './env.schema.js';

/** The table of `docs/configuration.md`, from the schema itself. */
export function configurationTable(): string {
  const rows = variableNames.map((name) => {
    const notes = variableNotes(name);
    const standard = notes.required ? '**required**' : (notes.default ?? '');
    return `| \`${name}\`${notes.secret ? ' (secret)' : ''} | ${standard} | ${notes.description} |`;
  });
  return ['| variable | default | meaning |', '|---|---|---|', ...rows].join('\n');
}
