# The calls of standard input through SOAP::Lite; answers as lines of status, message type, message, result.
use strict;
use warnings;
use utf8;
use open qw(:std :encoding(UTF-8));
use SOAP::Lite;

sub SOAP::Transport::HTTP::Client::get_basic_credentials { return ($ENV{X3_USER}, $ENV{X3_PASSWORD}) }

my $client = SOAP::Lite->proxy($ENV{X3_ENDPOINT})->ns('http://www.adonix.com/WSS', 'wss');

sub text { return SOAP::Data->name($_[0] => $_[1])->type('string') }

while (my $row = <STDIN>) {
    chomp $row;
    my ($operation, $name, $key, $value, $text, $more) = split /\t/, $row, -1;
    my $context = SOAP::Data->name(callContext => \SOAP::Data->value(text(codeLang => 'ENG'), text(poolAlias => $ENV{X3_POOL})));
    my $pair = SOAP::Data->name(item => \SOAP::Data->value(text(key => $key), text(value => $value)));
    my $keys = SOAP::Data->name(objectKeys => \SOAP::Data->value($pair));
    my @lines = map { text(item => $_) } split /,/, $more;
    my %parts = (
        run => [text(inputXml => $text)],
        save => [text(objectXml => $text)],
        read => [$keys],
        delete => [$keys],
        query => [$keys, SOAP::Data->name(listSize => $more)->type('int')],
        modify => [$keys, text(objectXml => $text)],
        actionObject => [text(actionCode => $more), text(objectXml => $text)],
        actionObjectKeys => [text(actionCode => $text), $keys],
        insertLines => [$keys, text(blocKey => $text), text(lineKey => '1'), text(lineXml => $more)],
        deleteLines => [$keys, text(blocKey => $text), SOAP::Data->name(lineKeys => \SOAP::Data->value(@lines))],
    );
    my $answer = $client->call($operation, $context, text(publicName => $name), @{ $parts{$operation} || [] });
    die $answer->faultstring if $answer->fault;
    my $told = $answer->result;
    my @messages = ref $told->{messages} eq 'ARRAY' ? @{ $told->{messages} } : ();
    my $last = @messages ? $messages[-1] : { type => '', message => '' };
    print join("\t", $told->{status}, $last->{type}, $last->{message}, $told->{resultXml} // ''), "\n";
}
