import { buildClientSchema, getIntrospectionQuery, getNamedType, type GraphQLInputType, type GraphQLObjectType, type GraphQLSchema, type IntrospectionQuery, isCompositeType, isEnumType, isInputObjectType, isInterfaceType, isListType, isNonNullType, isObjectType, isUnionType } from 'graphql';
import type { GraphqlClient } from './graphql-client.ts';

const deepest = 4;
/** They look at a tenant's database, of which there is one connection each. */
const live = new Set(['Tenant.database', 'Tenant.collections']);

/** A list of the API: where it stands, and what it lists. */
export interface ListField {
  /** `Query.tenants`, `Tenant.backups`. */
  readonly name: string;
  readonly owner: string;
  readonly field: string;
  /** The selection of one item: every field that is not a list of its own with pages, as deep as is of use. */
  readonly selection: string;
  /** One for each field that the list can be filtered by. */
  readonly filters: readonly string[];
}

/** Every list with pages that the schema has, but for those that read live databases. */
export async function listFieldsOf(client: GraphqlClient): Promise<ListField[]> {
  const schema = buildClientSchema(await client.run<IntrospectionQuery>(getIntrospectionQuery()));
  return Object.values(schema.getTypeMap()).flatMap((type) => {
    if (!isObjectType(type) || type.name.startsWith('__')) return [];
    return Object.values(type.getFields()).flatMap((field) => {
      const name = `${type.name}.${field.name}`;
      const connection = getNamedType(field.type);
      if (!connection.name.endsWith('Connection') || !isObjectType(connection) || live.has(name)) return [];
      const node = getNamedType((getNamedType(connection.getFields()['edges']?.type ?? connection) as GraphQLObjectType).getFields()['node']?.type ?? connection) as GraphQLObjectType;
      return [{ name, owner: type.name, field: field.name, selection: selectionOf(schema, node, []), filters: filtersOf(field.args.find((arg) => arg.name === 'filter')?.type) }];
    });
  });
}

function filtersOf(type: GraphQLInputType | undefined): string[] {
  const input = type === undefined ? undefined : getNamedType(type);
  return isInputObjectType(input) ? Object.values(input.getFields()).map((field) => `{ ${field.name}: ${someValueOf(field.type)} }`) : [];
}

function someValueOf(type: GraphQLInputType): string {
  if (isNonNullType(type)) return someValueOf(type.ofType);
  if (isListType(type)) return `[${someValueOf(type.ofType)}]`;
  if (isEnumType(type)) return type.getValues()[0]?.name ?? '';
  return getNamedType(type).name === 'DateTime' ? '"2026-01-01T00:00:00Z"' : '"some"';
}

function selectionOf(schema: GraphQLSchema, type: GraphQLObjectType, path: readonly string[]): string {
  const fields = Object.values(type.getFields()).flatMap((field) => {
    const inner = getNamedType(field.type);
    if (field.args.some(({ name }) => name === 'first') || live.has(`${type.name}.${field.name}`)) return [];
    if (!isCompositeType(inner)) return [field.name];
    const inside = [...path, type.name];
    if (inside.length >= deepest || inside.includes(inner.name)) return [];
    if (isObjectType(inner)) return [`${field.name} { ${selectionOf(schema, inner, inside)} }`];
    const kinds = isUnionType(inner) ? inner.getTypes() : isInterfaceType(inner) ? schema.getPossibleTypes(inner) : [];
    // Types of a union may have fields of one name and different types.
    return [`${field.name} { __typename ${kinds.map((kind) => `... on ${kind.name} { ${aliased(selectionOf(schema, kind, inside), kind.name)} }`).join(' ')} }`];
  });
  return ['__typename', ...fields].join(' ');
}

function aliased(selection: string, prefix: string): string {
  let depth = 0;
  return selection
    .split(' ')
    .map((word) => {
      if (word === '{') depth += 1;
      else if (word === '}') depth -= 1;
      else if (depth === 0 && /^\w+$/.test(word) && word !== '__typename') return `${prefix}_${word}: ${word}`;
      return word;
    })
    .join(' ');
}
