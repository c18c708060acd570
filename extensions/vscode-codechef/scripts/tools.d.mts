export interface Tool {
  name: string;
  tags: string[];
  inputSchema: object;
}

export function toolsOf(document: object): Tool[];
