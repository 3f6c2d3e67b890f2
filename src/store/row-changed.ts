/** Another writer inserted, changed or deleted a row after it was read and before it was locked: it is read again. */
export class RowChanged extends Error {}
