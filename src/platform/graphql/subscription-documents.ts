import { type DocumentNode, getOperationAST, type GraphQLError, type GraphQLSchema, OperationTypeNode, parse, specifiedRules, validate } from 'graphql';
import { AppError } from '#errors';
import { DocumentLimits, maxDocumentLength, maxDocumentTokens } from './document-limits.js';
import { givesAllTheSame } from './shared-answers.js';

/** A subscription that may be run. */
export interface SubscriptionDocument {
  readonly document: DocumentNode;
  /** Of one payload everybody gets the same answer, whoever they are. */
  readonly sameForAll: boolean;
  /** Variables, as JSON, with which it was found not to cost too much. */
  readonly affordable: Set<string>;
}

const mostKept = 200;
/** Longer documents than a frontend's are not worth the memory. */
const longestKept = 10_000;
const mostVariables = 50;

/** Frontends send the same few documents again and again: each is parsed, validated and costed once. */
export class SubscriptionDocuments {
  private readonly kept = new Map<string, SubscriptionDocument>();

  constructor(private readonly limits: DocumentLimits) {}

  /**
   * Gives back what is wrong with the document, if something is.
   *
   * @throws AppError COST_EXCEEDED, BAD_USER_INPUT; GraphQLError for what is no GraphQL
   */
  prepare(schema: GraphQLSchema, text: string, operationName: string | undefined, variables: Record<string, unknown> | undefined): SubscriptionDocument | readonly GraphQLError[] {
    const key = `${operationName ?? ''}\n${text}`;
    const known = this.kept.get(key);
    const prepared = known ?? this.examine(schema, text, operationName);
    if (!('document' in prepared)) return prepared;
    const given = JSON.stringify(variables ?? {});
    if (!prepared.affordable.has(given)) {
      this.limits.checkCost(schema, prepared.document, operationName, variables);
      if (given.length <= longestKept) remember(prepared.affordable, given);
    }
    // Last in, last out.
    this.kept.delete(key);
    if (text.length <= longestKept) this.kept.set(key, prepared);
    const [oldest] = this.kept.keys();
    if (this.kept.size > mostKept && oldest !== undefined) this.kept.delete(oldest);
    return prepared;
  }

  private examine(schema: GraphQLSchema, text: string, operationName: string | undefined): SubscriptionDocument | readonly GraphQLError[] {
    if (text.length > maxDocumentLength) throw new AppError('COST_EXCEEDED', `The document is longer than ${maxDocumentLength} characters`);
    const document = parse(text, { maxTokens: maxDocumentTokens });
    const operation = getOperationAST(document, operationName);
    if (operation == null) throw new AppError('BAD_USER_INPUT', 'Name one operation of the document');
    if (operation.operation !== OperationTypeNode.SUBSCRIPTION) throw new AppError('BAD_USER_INPUT', 'Sockets carry subscriptions alone; send queries and mutations by POST');
    const faults = validate(schema, document, [...specifiedRules, this.limits.rule]);
    return faults.length > 0 ? faults : { document, sameForAll: givesAllTheSame(schema, document), affordable: new Set() };
  }
}

function remember(affordable: Set<string>, variables: string): void {
  affordable.add(variables);
  const [oldest] = affordable;
  if (affordable.size > mostVariables && oldest !== undefined) affordable.delete(oldest);
}
