<?php
// The calls of standard input through SoapClient; answers as lines of status, message type, message, result.
$access = ['login' => getenv('X3_USER'), 'password' => getenv('X3_PASSWORD'), 'cache_wsdl' => WSDL_CACHE_NONE];
$client = new SoapClient(getenv('X3_WSDL'), $access + ['location' => getenv('X3_ENDPOINT')]);
$context = ['codeLang' => 'ENG', 'codeUser' => null, 'password' => null, 'poolAlias' => getenv('X3_POOL'),
            'poolId' => null, 'requestConfig' => null];

while (($row = fgets(STDIN)) !== false) {
    [$operation, $name, $key, $value, $text, $more] = explode("\t", rtrim($row, "\n"));
    $keys = [['key' => $key, 'value' => $value]];
    $parts = [
        'run' => [$text],
        'save' => [$text],
        'read' => [$keys],
        'delete' => [$keys],
        'query' => [$keys, (int) $more],
        'modify' => [$keys, $text],
        'actionObject' => [$more, $text],
        'actionObjectKeys' => [$text, $keys],
        'insertLines' => [$keys, $text, '1', $more],
        'deleteLines' => [$keys, $text, explode(',', $more)],
    ][$operation] ?? [];
    $told = $client->__soapCall($operation, array_merge([$context, $name], $parts));
    $messages = (array) $told->messages;
    $last = $messages ? end($messages) : (object) ['type' => '', 'message' => ''];
    echo implode("\t", [$told->status, $last->type, $last->message, $told->resultXml ?? '']), "\n";
}
