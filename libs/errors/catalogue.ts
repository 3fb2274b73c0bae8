/**
 * Every code that can leave the process, with what the reader should do about it.
 *
 * `audience` says how the API reports a code that a mutation threw: `user` becomes an entry of the payload's
 * `userErrors` (a person can cause and mend it), `client` a top-level GraphQL error. `retryable` is true where the
 * same request may succeed later without anybody changing it.
 */
export type ErrorAudience = 'user' | 'client';

export interface ErrorEntry {
  readonly audience: ErrorAudience;
  readonly retryable: boolean;
  readonly hint: string;
}

const user = (hint: string, retryable = false): ErrorEntry => ({ audience: 'user', retryable, hint });
const client = (hint: string, retryable = false): ErrorEntry => ({ audience: 'client', retryable, hint });

export const errorCatalogue = {
  // Requests
  UNAUTHENTICATED: client('Log in again and send the new token as "Authorization: Bearer <token>"'),
  FORBIDDEN: client('Ask an owner of the workspace for the permission that is named in the message; what only the provider may do, ask your provider for'),
  ADDRESS_REFUSED: client('Come from an address that the workspace allows, or ask one of its owners to allow yours; your provider can lift the rules'),
  NOT_FOUND: client('Check the id; it may have been deleted or may belong to a workspace you cannot see'),
  BAD_USER_INPUT: client('Correct the fields that the message names'),
  RATE_LIMITED: client('Wait for the time given in retryAfterMs and try again', true),
  COST_EXCEEDED: client('Ask for fewer fields, fewer levels or smaller pages'),
  MAINTENANCE: client('The workspace is being restored; try again when maintenance has ended', true),
  UNAVAILABLE: client('A service that Holdfast needs is away; try again in a minute', true),
  INTERNAL: client('Try again; if it happens again, give the traceId to support', true),

  // Accounts and members
  LOGIN_FAILED: user('Check the e-mail address and the password'),
  PASSWORD_TOO_WEAK: user('Choose a password of at least 12 characters that differs from the e-mail address'),
  MEMBER_EXISTS: user('This person is already a member; change the role instead'),
  ACCOUNT_EXISTS: user('Invite the person without a password; the account has one already'),
  ACCOUNT_MISSING: user('Remove the member and invite the person again, with a password'),
  ACCOUNT_ELSEWHERE: user('Ask your provider to add this person with a new password'),
  LAST_OWNER: user('Give the Owner role to another member first'),

  // Tenants and their targets
  SLUG_TAKEN: user('Choose another slug'),
  ENGINE_UNSUPPORTED: user('Choose an engine that this version supports: MONGODB'),
  TARGET_INVALID: user('Give a connection string of the form mongodb://host:port/?replicaSet=name and a database name'),
  TARGET_UNREACHABLE: user('Check host, port, network and that the database server is running', true),
  TARGET_AUTH_FAILED: user('Check the user name, the password and authSource in the connection string'),
  TARGET_UNSUPPORTED: user('Use a replica set of MongoDB 6.0 or later that is not sharded'),
  TARGET_REFUSED: user('Name a database of its own for this workspace on a host that Holdfast may reach'),
  TARGET_IN_USE: user('Each workspace needs a database of its own, with a name that differs in more than upper and lower case; one that is kept for an undo is free after 7 days'),
  DATABASE_EXISTS: user('Name a database that does not exist yet'),
  TARGET_PRIVILEGE_MISSING: user('Grant the database user the privilege that the message names, then try again'),

  // Address rules
  ADDRESS_RANGE_INVALID: user('Give an address or a range such as 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32'),
  ADDRESS_RULES_LOCKOUT: user('Add a range that holds your own address; Viewer.address shows it'),

  // Approvals
  APPROVAL_REQUIRED: user('Ask for it by approvalRequest; somebody else with the permission APPROVE decides, and then the same request goes through once'),
  APPROVAL_NOT_NEEDED: user('Do it at once; the policy of the workspace asks nobody else'),
  APPROVAL_BY_REQUESTER: user('Have another owner of the workspace, or your provider, decide'),
  APPROVAL_CLOSED: user('Ask for a new approval'),

  // Policies
  POLICY_FORBIDS: user('Ask your provider to switch it on in the policy of the workspace'),
  POLICY_PROVIDER_ONLY: user('Ask your provider to change it'),
  STEP_UP_REQUIRED: user('Log in again and repeat the request with the new token; a host product asks its login for max_age and passes auth_time on'),

  // Webhooks
  WEBHOOK_INVALID: user('Give an address of the form https://host/path'),
  WEBHOOK_REFUSED: user('Give the address of a host that Holdfast may reach, or have it listed in HOLDFAST_TARGET_ALLOW'),

  // E-mail
  MAIL_NOT_CONFIGURED: user('Ask your provider to set HOLDFAST_SMTP_URL and HOLDFAST_MAIL_FROM on the server'),
  MAIL_FAILED: user('Check the address and the mail server, then try again', true),

  // SMS
  SMS_NOT_CONFIGURED: user('Ask your provider to set HOLDFAST_SMS_URL on the server'),
  SMS_FAILED: user('Check the number and the provider of SMS, then try again', true),

  // Merges
  MERGE_UNSUPPORTED: user('Choose collections of the plain kind, or use REPLACE for those that the message names'),
  MERGE_CLASH: user('Change the documents that hold the same unique keys, or set skipClashes to leave out those of the archive'),

  // Operations
  OPERATION_ALREADY_RUNNING: user('Wait until the running operation has finished or cancel it', true),
  IDEMPOTENCY_MISMATCH: user('Use a new idempotencyKey for a new request'),
  NOT_CANCELABLE: user('Look at the state of the operation: it has ended, or it is past the point where it can be canceled and finishes by itself'),
  NOT_ABANDONABLE: user('Cancel by operationCancel what has not passed its commit point; what has ended needs neither'),
  ABANDONED: user('Restore its safety backup, or give the workspace another target and restore there; until then, or until maintenanceEnd, the workspace stays in maintenance'),
  CANCELED: user('Start the operation again when you are ready'),
  DEADLINE_EXCEEDED: user('The database or the storage was too slow; try again at a quieter time', true),
  WORKER_LOST: user('The process that did the work stopped; start the operation again', true),
  WORKER_STOPPED: user('Holdfast was shut down during the work; start the operation again', true),
  LEASE_LOST: user('Another worker took the operation over; look at its current state', true),
  REQUEST_DECIDED: user('Look at the answer that was given; ask anew for something else'),
  TENANT_SUSPENDED: user('The workspace is suspended; ask your provider to resume it'),
  TENANT_DELETING: user('Take the deletion of the workspace back by tenantUndelete first'),
  TENANT_DELETED: user('Of a deleted workspace only its history is left; make a new one'),
  STORE_UNKNOWN: user('Choose one of the stores that the query stores lists, or have your provider configure it'),
  STORE_TAKEN: user('Choose another store, or wait until what the message names is over', true),
  DESTINATION_MOVING: user('Wait until the copies have been moved', true),
  TENANT_HELD: user('Release the backups of the workspace that are held first'),
  TENANT_NOT_RECOVERABLE: user('The archives of the workspace are being removed; nothing can be taken back any more'),

  // Encryption
  ENCRYPTION_KEY_MISSING: user('Set BACKUP_ENCRYPTION_KEY on the server; nothing is backed up or restored without it'),
  KEY_UNKNOWN: user('Add the key with the named id to BACKUP_ENCRYPTION_KEYS_OLD on the server'),
  KEY_MISMATCH: user('The key with this id is not the one that encrypted the archive; restore the right key'),

  // Secrets of the installation
  SECRET_UNREADABLE: user('Have your provider set HOLDFAST_SECRET_KEY on the server to the one that it was, or give anew what was kept under it, such as the connection of the workspace'),

  // Backups and archives
  SCOPE_UNDEFINED: user('Say by classRulesUpdate what the collections of this workspace hold, or take a backup with scope ALL'),
  BACKUP_NOT_USABLE: user('Choose a backup whose state is COMPLETED'),
  BACKUP_IN_USE: user('Wait until the restore that reads this backup has finished', true),
  UNDO_WOULD_BE_LOST: user('Send giveUpUndo: true to delete it all the same; the restore can then no longer be undone'),
  BACKUP_PROTECTED: user('Take a newer backup, unpin this one or have its hold released first'),
  ARCHIVE_MISSING: user('The file is no longer in the archive store; choose another backup'),
  ARCHIVE_REPLACED: user('The file in the archive store is not the one that was written; choose another backup'),
  ARCHIVE_TRUNCATED: user('The file is incomplete; download or upload it again, or choose another backup'),
  ARCHIVE_CORRUPT: user('The file is damaged; choose another backup'),
  ARCHIVE_FOREIGN: user('The archive belongs to another workspace; choose one of this workspace'),
  ARCHIVE_UNSUPPORTED: user('Give an archive of Holdfast (.gz.enc, .zst.enc, .archive.enc) or one of mongodump --archive --db <name> (.archive, .gz, .zst); other databases are not supported yet'),
  ARCHIVE_TOO_LARGE: user('The archive holds more than it declares or than the limits allow'),
  READ_BACK_FAILED: user('The stored file differs from what was written; check the archive store and try again', true),
  STORAGE_FULL: user('Free space in the archive store and try again', true),
  STORAGE_UNAVAILABLE: user('Check that the archive store is reachable and writable', true),
  STORE_CHANGED: user('Have the archive store mounted, or its address put right. Where this other one is meant, the operator says so by holdfast-admin store-accept (docs/storage.md)', true),
  STORAGE_LOCKED: user('Wait until the date in the message: before it nobody can delete the file, and it is deleted by itself afterwards', true),
  OBJECT_LOCK_UNFIT: user('Name a bucket that was made with object lock and has no retention of its own as its default, or have objectLock taken out of the address of the store'),
  STORAGE_QUOTA_EXCEEDED: user('Delete old backups or ask your provider for a larger quota'),
  DOWNLOAD_EXPIRED: client('Create a new download link'),
  UPLOAD_INCOMPLETE: user('Send the rest of the file to the address of the upload, then complete it again', true),
  UPLOAD_MISMATCH: user('The file changed on its way or while it was read; upload it again'),
  UPLOAD_BUSY: user('Wait until the other request has finished and try again', true),
  UPLOAD_CONFLICT: client('Ask with HEAD how far the upload is and go on from there', true),
  UPLOAD_EXPIRED: client('Create a new upload; one is kept for 24 hours'),

  // Reading the tenant database
  COLLECTION_CHANGED: user('A collection was dropped or replaced again and again during the backup; try again', true),
  SNAPSHOT_TOO_OLD: user('Raise minSnapshotHistoryWindowInSeconds on the database server, or back up at a quieter time', true),
  TARGET_LOST: user('The connection to the database was lost; check the server and try again', true),
  TARGET_FULL: user('The database server has no disk space left; free some and try again', true),

  // Schedules
  CONFIRMATION_MISSING: user('Send confirm: true once the person has confirmed'),

  // Drills
  DRILL_MISMATCH: user('What was restored differs from the archive; tell support, and take a new backup'),

  // Work with a start time
  START_TIME_INVALID: user('Choose a start between one minute and 30 days from now'),
  WORK_ANNOUNCED_ALREADY: user('Cancel the announced work first'),
  START_TIME_MISSED: user('Announce it anew: people were told of another time'),
  ANNOUNCEMENT_OVER: user('Cancel the operation instead, if it is still running'),

  // Reset
  RESET_NOTHING: user('Say by classRulesUpdate which collections of this workspace a reset wipes'),
  RESET_TOO_EARLY: user('Take the step that the message names first'),
  RESET_OVER: user('Look at the reset: where it is under way its operation tells how far it is, else begin a new one'),
  RESET_OF_ANOTHER: user('Begin a reset of your own; codes are sent to the person who begins it'),
  RESET_STALE: user('Begin a new reset and look at the lists again'),
  RESET_CODE_WRONG: user('Check the verification code: the newest message counts, and it is good for 10 minutes'),
  RESET_CODE_EXPIRED: user('Send a new code; one is good for 10 minutes'),
  RESET_CODE_USED: user('This channel is verified already; go on with the next step'),
  RESET_CHANNEL_UNAVAILABLE: user('Choose the other channel, or have your address added by an administrator of the workspace'),
  RESET_CODE_UNDELIVERED: user('Check the address and the connection, then send the code again or choose the other channel', true),
  RESET_TEXT_MISMATCH: user('Type RESET in capital letters'),
  COUNTERS_TOO_LARGE: user('Leave the counters of the collection that the message names as they are, by classRulesUpdate'),

  // Restore
  PLAN_EXPIRED: user('Make a new restore plan; a plan is valid for 15 minutes'),
  PLAN_USED: user('Make a new restore plan; each plan works once'),
  PLAN_STALE: user('Something changed since the plan was made; make a new one and look at it again'),
  PLAN_BLOCKED: user('Mend what the failed checks of the plan name, then make a new plan'),
  CONFIRM_NAME_MISMATCH: user("Type the workspace's name exactly as it is shown"),
  NOTHING_KEPT: user('Name a completed restore that was started with keepOld or with the cutover REPOINT'),
  DATABASE_IN_USE: user('Let the product use the database that the workspace has now; the former one is dropped once nobody has written to it for an hour'),
  NOT_UNDOABLE: user('Only a completed restore, reset or undo whose safety backup or former database is still there can be undone; restore a backup of the history instead'),
  UNDO_EXPIRED: user('A restore or reset can be undone for 7 days; restore a backup of the history instead'),
  SAFETY_BACKUP_FAILED: user('Nothing was changed because the safety backup failed; see its message', true),
  STAGE_REJECTED: user('The archive cannot be built on this server; see which collection the message names'),
  STAGE_MISMATCH: user('What was staged differs from the archive; live data are untouched, try again', true),
  LIVE_CHANGED: user('A collection was created, dropped or replaced since the plan was made; make a new plan'),
  MAINTENANCE_UNACKNOWLEDGED: user('Live data are untouched; see why the product did not take the webhook, then try again', true),
  SWAP_BLOCKED: user('An open transaction or an index build blocks the restore; live data are untouched, try again', true),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof errorCatalogue;
