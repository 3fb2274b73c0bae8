import { Injectable } from '@nestjs/common';
import {
  type DocumentNode,
  type FragmentDefinitionNode,
  getOperationAST,
  getVariableValues,
  GraphQLError,
  type GraphQLSchema,
  Kind,
  type SelectionSetNode,
  type ValidationRule,
} from 'graphql';
import { type ComplexityEstimatorArgs, getComplexity } from 'graphql-query-complexity';
import { AppError } from '#errors';
import { AppConfig } from '../../config/app-config.js';
import { defaultPageSize } from './connection.js';

/** More than any document of a person or a frontend, and little enough for validation to be quick. */
export const maxDocumentTokens = 5_000;
export const maxDocumentLength = 100_000;

/** What a client may ask for at once, over HTTP and over sockets. */
@Injectable()
export class DocumentLimits {
  private readonly maxDepth: number;
  private readonly maxCost: number;
  private readonly maxAliases: number;

  constructor(config: AppConfig) {
    ({ maxDepth: this.maxDepth, maxCost: this.maxCost, maxAliases: this.maxAliases } = config.limits);
  }

  /** Depth and aliases, to be checked along with GraphQL's own rules. */
  readonly rule: ValidationRule = (context) => ({
    Document: (document) => {
      const { depth, aliases } = measure(document);
      if (depth > this.maxDepth) context.reportError(exceeded(`The document is ${depth} levels deep; ${this.maxDepth} are allowed`));
      if (aliases > this.maxAliases) context.reportError(exceeded(`The document uses ${aliases} aliases; ${this.maxAliases} are allowed`));
    },
  });

  /**
   * For a document that is valid. A page costs as much as its size times what is asked for of each item, a list of `count` values as much as its length; other fields without fields cost nothing.
   *
   * @throws GraphQLError COST_EXCEEDED, and for variables that are not of their types
   */
  checkCost(schema: GraphQLSchema, document: DocumentNode, operationName: string | undefined, variables: Record<string, unknown> | undefined): void {
    checkVariables(schema, document, operationName, variables);
    const cost = getComplexity({
      schema,
      query: document,
      ...(operationName === undefined ? {} : { operationName }),
      variables: variables ?? {},
      estimators: [costOf],
      maxQueryNodes: 20_000,
    });
    if (cost > this.maxCost) throw exceeded(`The document costs ${cost}; ${this.maxCost} are allowed`);
  }
}

/** Found while costing them, a fault of the client would be answered with the status 500. */
function checkVariables(schema: GraphQLSchema, document: DocumentNode, operationName: string | undefined, variables: Record<string, unknown> | undefined): void {
  const { errors } = getVariableValues(schema, getOperationAST(document, operationName)?.variableDefinitions ?? [], variables ?? {}, { maxErrors: 1 });
  const [fault] = errors ?? [];
  if (fault !== undefined) throw new GraphQLError(fault.message, { nodes: fault.nodes ?? null, originalError: fault, extensions: { code: 'BAD_USER_INPUT', http: { status: 400 } } });
}

function exceeded(message: string): GraphQLError {
  return new GraphQLError(message, { originalError: new AppError('COST_EXCEEDED', message), extensions: { http: { status: 400 } } });
}

const free = new Set(['edges', 'pageInfo']);

function costOf({ field, node, args, childComplexity }: ComplexityEstimatorArgs): number {
  const count: unknown = args['count'];
  if (node.selectionSet === undefined && typeof count === 'number') return Math.max(0, count);
  if (node.selectionSet === undefined || free.has(field.name) || field.name.startsWith('__')) return childComplexity;
  const isPage = field.args.some(({ name }) => name === 'first');
  const first: unknown = args['first'];
  const size = isPage ? (typeof first === 'number' ? Math.max(1, first) : defaultPageSize) : 1;
  return 1 + size * childComplexity;
}

interface Measure {
  readonly depth: number;
  readonly aliases: number;
}

/** Fragments are measured once each, however often they are spread, so that a small document cannot make this slow. Introspection is free. */
function measure(document: DocumentNode): Measure {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions) if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  const known = new Map<string, Measure>();
  const nothing: Measure = { depth: 0, aliases: 0 };

  const ofFragment = (name: string): Measure => {
    const found = known.get(name);
    if (found !== undefined) return found;
    // A fragment that spreads itself is measured as empty; GraphQL's own rules refuse it.
    known.set(name, nothing);
    const measured = ofSelections(fragments.get(name)?.selectionSet);
    known.set(name, measured);
    return measured;
  };

  const ofSelections = (selections: SelectionSetNode | undefined): Measure => {
    let depth = 0;
    let aliases = 0;
    for (const selection of selections?.selections ?? []) {
      let inner: Measure;
      if (selection.kind === Kind.FIELD) {
        const below = selection.name.value.startsWith('__') ? nothing : ofSelections(selection.selectionSet);
        inner = { depth: below.depth + 1, aliases: below.aliases + (selection.alias === undefined ? 0 : 1) };
      } else {
        inner = selection.kind === Kind.INLINE_FRAGMENT ? ofSelections(selection.selectionSet) : ofFragment(selection.name.value);
      }
      depth = Math.max(depth, inner.depth);
      aliases += inner.aliases;
    }
    return { depth, aliases };
  };

  const operations = document.definitions.flatMap((definition) => (definition.kind === Kind.OPERATION_DEFINITION ? [ofSelections(definition.selectionSet)] : []));
  return { depth: Math.max(0, ...operations.map(({ depth }) => depth)), aliases: operations.reduce((sum, { aliases }) => sum + aliases, 0) };
}
