# Reads a JUnit report as parse_extra_log('XUnit', ...) of an openQA test does. Fails unless every
# result is ok.
use Mojo::Base -signatures;
use OpenQA::Parser 'parser';

my $results = parser(XUnit => $ARGV[0])->results;
die "no results\n" unless $results->size;
$results->each(sub ($result, $) {
    say "$result->{name}: $result->{result}";
    die "not ok\n" unless $result->{result} eq 'ok';
});
